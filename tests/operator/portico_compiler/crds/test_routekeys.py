"""The regular expressions of route keys, tried with Python's engine.

RE2 and Python agree on what they use: no assertion, no reference, no lazy repetition. The whole
rules run on a real API server in tests/cluster/test_rules.py.
"""

from __future__ import annotations

import re

import pytest

from portico_compiler.crds import routekeys

PATTERNS = [rule for rule, _, _ in routekeys.RULES]


@pytest.mark.parametrize(
    "segment",
    ["x{id}", "{id}x", "{}", "{id", "id}", "{i d}", "{a}{b}", "{a+}b", "{+}", "{a+", "}", "{a{b}}"],
)
def test_a_brace_that_is_no_variable_is_found(segment: str) -> None:
    for path in (f"/{segment}", f"/a/{segment}/b", f"/{{a}}/{segment}"):
        found = re.search(routekeys.NOT_WHOLE, f"GET {path}")
        assert found is not None, path
        assert found[0].replace("/", "") == segment


@pytest.mark.parametrize("segment", ["{id}", "{proxy+}", "a", "", "{a.b:c-d_e}"])
def test_a_variable_is_let_through(segment: str) -> None:
    assert re.search(routekeys.NOT_WHOLE, f"GET /{segment}/a") is None


@pytest.mark.parametrize("segment", ["%", "%4", "%zz", "a%2", "ä", "a b", "%4g", '"'])
def test_what_is_no_pchar_is_found(segment: str) -> None:
    found = re.search(routekeys.HTTP_BAD, f"GET /a/{segment}/b")
    assert found is not None
    assert found[0].replace("/", "") == segment


@pytest.mark.parametrize("segment", ["a", "%41", "a%C3%A4b", "~!$&'()*+,;=:@-._", "{id}"])
def test_pchars_are_let_through(segment: str) -> None:
    assert re.search(routekeys.HTTP_BAD, f"GET /a/{segment}") is None


def test_every_rule_asks_about_the_key() -> None:
    assert all("self.routeKey" in rule for rule in PATTERNS)
