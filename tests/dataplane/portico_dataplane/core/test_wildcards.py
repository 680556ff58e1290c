"""`*` and `?` as IAM has them, in linear time."""

from __future__ import annotations

import fnmatch
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portico_dataplane.core.wildcards import matcher, shield


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("abc", "abc", True),
        ("abc", "ABC", False),
        ("abc", "abcd", False),
        ("", "", True),
        ("", "a", False),
        ("*", "", True),
        ("**", "a/b/c", True),
        ("arn:*", "arn:aws:x", True),
        ("arn:*", "ARN:aws:x", False),
        ("a*c", "ac", True),
        ("a*c", "a/b/c", True),
        ("a*c", "a/b/cd", False),
        ("a*bc*d", "abcbcd", True),
        ("a*bc*d", "abd", False),
        ("aba*aba", "aba", False),
        ("aba*aba", "abaaba", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", True),
        ("a?c", "ac", False),
        ("a??", "abc", True),
        ("?", "", False),
        ("*?", "", False),
        ("*?", "a", True),
        ("*a?c*", "xxabcxx", True),
        ("*a?c*", "xxacxx", False),
        ("a*?", "a", False),
        ("a.c", "abc", False),
        ("[ab]*", "a", False),
        ("$default/*", "$default/GET/", True),
        ("arn:aws:execute-api:*:*:*/*/GET/x", "arn:aws:execute-api:r:1:abc/test/GET/x", True),
        ("arn:aws:execute-api:*:*:*/*/GET/x", "arn:aws:execute-api:r:1:abc/test/GET/x/y", False),
        ("*" + "x" * 40 + "*", "y" * 10 + "x" * 40, True),
        ("*" + "x" * 40 + "*", "y" * 10 + "x" * 39 + "y", False),
        ("a*" + "b?" * 20 + "*z", "a" + "bc" * 20 + "z", True),
    ],
)
def test_whole_texts_are_matched(pattern: str, text: str, matches: bool) -> None:
    """AWS §6.1."""
    assert matcher(pattern)(text) is matches


def test_case_can_be_ignored() -> None:
    """IAM: names of actions have none."""
    assert matcher("Execute-API:inv*", ignore_case=True)("execute-api:Invoke")
    assert not matcher("execute-api:manage*", ignore_case=True)("execute-api:Invoke")


PIECES = st.text(alphabet="ab/?*", max_size=12)


@given(PIECES, st.text(alphabet="ab/", max_size=12))
@example("*aab*", "aaab")
def test_as_the_standard_library_has_it(pattern: str, text: str) -> None:
    expected = re.fullmatch(fnmatch.translate(pattern), text) is not None
    assert matcher(pattern)(text) is expected


@given(st.text(alphabet="ab?", min_size=25, max_size=40), st.text(alphabet="ab", max_size=120))
def test_long_pieces_too(piece: str, text: str) -> None:
    pattern = f"a*{piece}*b"
    expected = re.fullmatch(fnmatch.translate(pattern), text) is not None
    assert matcher(pattern)(text) is expected


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 250 + "*b", "*" + "a?" * 250 + "b*", "*" + "?" * 500 + "b*", "?*" * 250 + "b"],
)
def test_hostile_patterns_end(pattern: str) -> None:
    """Twenty stars and a text of one letter keep a backtracking matcher busy for years."""
    assert not matcher(pattern)("a" * 1600)


def test_a_value_is_no_pattern() -> None:
    assert matcher("/users/" + shield("*"))(shield("/users/*"))
    assert not matcher("/users/" + shield("*"))(shield("/users/x"))
