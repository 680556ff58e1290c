"""Checks that several rules share."""

from __future__ import annotations

import pytest

from portico_compiler.manifests.shapes import FunctionEndpoint, InlineFunction, ServiceRef
from portico_compiler.rules.fault import bounded_duration, function_target, regular_expression

SERVICE = ServiceRef(name="a", port=80)


@pytest.mark.parametrize(
    ("text", "fine"),
    [("1ms", True), ("0s", False), ("24h", True), ("24h1ms", False), ("nonsense", False)],
)
def test_durations(text: str, fine: bool) -> None:
    assert (list(bounded_duration("f", text, 1)) == []) is fine


@pytest.mark.parametrize(
    ("value", "fine"),
    [
        (None, True),
        ("name", True),
        (FunctionEndpoint(), False),
        (FunctionEndpoint(url="http://x"), True),
        (FunctionEndpoint(url="http://x", service=SERVICE), False),
        (InlineFunction(name="a", service=SERVICE), True),
        (InlineFunction(name="a"), False),
    ],
)
def test_functions(value: str | FunctionEndpoint | InlineFunction | None, fine: bool) -> None:
    assert (list(function_target("f", value)) == []) is fine


@pytest.mark.parametrize(
    ("text", "fine"),
    [
        (r"4\d{2}", True),
        ("", True),
        ("[[a]", True),
        ("(", False),
        ("*", False),
        ("a{9999999999}", False),
    ],
)
def test_patterns(text: str, fine: bool) -> None:
    assert (list(regular_expression("f", text)) == []) is fine
