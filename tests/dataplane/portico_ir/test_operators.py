"""Condition operators: which there are, and what their values must be."""

from __future__ import annotations

import pytest

from portico_ir.operators import BASES, Operator, binary, moment, network, number, operator_of


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("StringEquals", Operator("", "StringEquals", False, False)),
        ("StringNotEquals", Operator("", "StringEquals", True, False)),
        (
            "StringNotEqualsIgnoreCaseIfExists",
            Operator("", "StringEqualsIgnoreCase", True, True),
        ),
        ("ForAnyValue:StringNotLike", Operator("ForAnyValue", "StringLike", True, False)),
        ("ForAllValues:ArnLikeIfExists", Operator("ForAllValues", "ArnLike", False, True)),
        ("NotIpAddress", Operator("", "IpAddress", True, False)),
        ("NumericNotEquals", Operator("", "NumericEquals", True, False)),
        ("DateGreaterThanEquals", Operator("", "DateGreaterThanEquals", False, False)),
        ("ArnNotLike", Operator("", "ArnLike", True, False)),
        ("Null", Operator("", "Null", False, False)),
        ("Bool", Operator("", "Bool", False, False)),
        ("BinaryEquals", Operator("", "BinaryEquals", False, False)),
    ],
)
def test_operators(text: str, operator: Operator) -> None:
    assert operator_of(text) == operator


@pytest.mark.parametrize(
    "text",
    [
        "",
        "stringEquals",
        "StringContains",
        "NumericNotLessThan",
        "NotBool",
        "NullIfExists",
        "ForAnyValue:Null",
        "ForSomeValue:StringLike",
        "IfExists",
        "IpNotAddress",
    ],
)
def test_what_is_no_operator(text: str) -> None:
    assert operator_of(text) is None


def test_values() -> None:
    assert number("1e3") == 1000
    assert number("-0.5") == -0.5
    assert [number(text) for text in ("", "x", "nan", "inf", "1_000", "9" * 99)] == [None] * 6
    assert moment("2026-01-31T12:00:00Z") == moment("2026-01-31T13:00:00+01:00") == 1769860800
    assert moment("2026-01-31") == moment("1769817600")
    assert [moment(text) for text in ("yesterday", "2026-13-01", "")] == [None] * 3
    assert str(network("192.0.2.7/24")) == "192.0.2.0/24"
    assert str(network("2001:db8::1")) == "2001:db8::1/128"
    assert [network(text) for text in ("*", "192.0.2.0/33", "example.com")] == [None] * 3
    assert binary("aGk=") == b"hi"
    assert binary("hi!") is None


@pytest.mark.parametrize("base", sorted(BASES))
def test_every_operator_says_what_it_wants(base: str) -> None:
    fits, wanted = BASES[base]
    assert bool(wanted) is (not fits("anything at all"))
