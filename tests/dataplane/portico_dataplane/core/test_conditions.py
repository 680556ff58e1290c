"""Conditions of statements, operator by operator (IAM; AWS §3.21)."""

from __future__ import annotations

import pytest

from portico_dataplane.core.conditions import check_of, filled_in
from portico_ir.access import Condition


def met(operator: str, values: tuple[str, ...], given: tuple[str, ...], key: str = "aws:X") -> bool:
    """Whether a request with these values of the key meets the condition."""
    check = check_of(Condition(operator=operator, key=key, values=values), unreadable=False)
    return check(lambda asked: given if asked == key.lower() else ())


@pytest.mark.parametrize(
    ("operator", "wanted", "meets", "misses"),
    [
        ("StringEquals", ("a", "b"), ["a", "b"], ["A", "ab", ""]),
        ("StringNotEquals", ("a", "b"), ["A", "c"], ["a", "b"]),
        ("StringEqualsIgnoreCase", ("Ab",), ["ab", "AB"], ["a"]),
        ("StringNotEqualsIgnoreCase", ("Ab",), ["a"], ["ab", "AB"]),
        ("StringLike", ("curl/*", "x?z"), ["curl/8", "xyz"], ["Curl/8", "xz"]),
        ("StringNotLike", ("curl/*", "x?z"), ["Curl/8"], ["curl/8", "xyz"]),
        ("NumericEquals", ("10",), ["10", "10.0"], ["11", "x", ""]),
        ("NumericNotEquals", ("10",), ["11", "x"], ["10.0"]),
        ("NumericLessThan", ("10",), ["9.9", "-1"], ["10", "x"]),
        ("NumericLessThanEquals", ("10",), ["10"], ["10.1"]),
        ("NumericGreaterThan", ("10",), ["10.1"], ["10", "x"]),
        ("NumericGreaterThanEquals", ("10",), ["10"], ["9"]),
        ("DateEquals", ("2026-01-31T12:00:00Z",), ["2026-01-31T13:00:00+01:00"], ["2026-01-31"]),
        ("DateNotEquals", ("2026-01-31",), ["2026-02-01"], ["2026-01-31T00:00:00Z"]),
        ("DateLessThan", ("2026-01-31T00:00:00Z",), ["2026-01-30", "1"], ["2026-01-31", "soon"]),
        ("DateGreaterThanEquals", ("1769817600",), ["2026-01-31"], ["2026-01-30"]),
        ("Bool", ("true",), ["true", "TRUE"], ["false", "1"]),
        ("BinaryEquals", ("aGk=",), ["aGk="], ["aGo=", "!"]),
        (
            "IpAddress",
            ("192.0.2.0/24", "2001:db8::/32"),
            ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"],
            ["192.0.3.1", "2001:db9::1", "", "unknown", "192.0.2.0/24"],
        ),
        ("NotIpAddress", ("192.0.2.0/24",), ["192.0.3.1", "unknown"], ["192.0.2.7"]),
        (
            "ArnLike",
            ("arn:aws:iam::*:user/a*",),
            ["arn:aws:iam::1:user/ab"],
            ["arn:aws:iam::1:2:user/ab", "arn:aws:iam::1:role/ab", "x"],
        ),
        ("ArnEquals", ("arn:aws:iam::*:user/a",), ["arn:aws:iam::1:user/a"], ["a"]),
        ("ArnNotLike", ("arn:aws:iam::1:*",), ["arn:aws:iam::2:user/a"], ["arn:aws:iam::1:user/a"]),
        ("ArnNotEquals", ("*",), [], ["anything"]),
    ],
)  # fmt: skip
def test_operators(
    operator: str, wanted: tuple[str, ...], meets: list[str], misses: list[str]
) -> None:
    assert [text for text in meets if not met(operator, wanted, (text,))] == []
    assert [text for text in misses if met(operator, wanted, (text,))] == []


def test_names_of_keys_have_no_case() -> None:
    check = check_of(
        Condition(operator="Bool", key="AWS:SecureTransport", values=("true",)), unreadable=False
    )
    assert check(lambda asked: ("true",) if asked == "aws:securetransport" else ())


@pytest.mark.parametrize(
    ("operator", "absent"),
    [
        ("StringEquals", False),
        ("StringEqualsIfExists", True),
        ("StringNotEquals", True),
        ("StringNotEqualsIfExists", True),
        ("IpAddress", False),
        ("NotIpAddress", True),
        ("ArnNotLike", True),
        ("Bool", False),
        ("BoolIfExists", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAllValues:StringEquals", True),
        ("ForAllValues:StringNotEquals", True),
    ],
)
def test_a_key_that_is_absent(operator: str, absent: bool) -> None:
    """IAM: a negated operator is met, so that `NotIpAddress` denies whom nobody can place."""
    assert met(operator, ("true",), ()) is absent


def test_null() -> None:
    assert met("Null", ("true",), ())
    assert not met("Null", ("true",), ("x",))
    assert met("Null", ("false",), ("x",))
    assert not met("Null", ("false",), ())


@pytest.mark.parametrize(
    ("operator", "given", "meets"),
    [
        ("ForAnyValue:StringEquals", ("a", "x"), True),
        ("ForAnyValue:StringEquals", ("x", "y"), False),
        ("ForAllValues:StringEquals", ("a", "b"), True),
        ("ForAllValues:StringEquals", ("a", "x"), False),
        ("ForAnyValue:StringNotEquals", ("a", "x"), True),
        ("ForAnyValue:StringNotEquals", ("a", "b"), False),
        ("ForAllValues:StringNotEquals", ("x", "y"), True),
        ("ForAllValues:StringNotEquals", ("a", "x"), False),
        ("StringEquals", ("a", "x"), True),
        ("StringNotEquals", ("a", "x"), False),
    ],
)
def test_several_values(operator: str, given: tuple[str, ...], meets: bool) -> None:
    assert met(operator, ("a", "b"), given) is meets


def test_values_may_be_variables() -> None:
    def facts(key: str) -> tuple[str, ...]:
        return {"aws:username": ("ann",), "aws:x": ("home/ann/*",), "aws:many": ("1", "2")}.get(
            key, ()
        )

    def check(operator: str, value: str) -> bool:
        condition = Condition(operator=operator, key="aws:x", values=(value,))
        return check_of(condition, unreadable=False)(facts)

    assert check("StringLike", "home/${aws:username}/*")
    assert check("StringEquals", "home/${AWS:UserName}/*")
    assert check("StringLike", "home/${aws:username}/${*}")
    assert not check("StringLike", "home/${aws:username}x/${*}")
    assert not check("StringLike", "home/${aws:userid}/*")
    assert check("StringNotLike", "home/${aws:userid}/*")
    assert check("StringLike", "home/${aws:userid, 'ann'}/*")
    assert filled_in("a${$}b", facts) == "a$b"
    assert filled_in("a${aws:many}", facts) is None
    assert filled_in("a${aws:username", facts) is None


@pytest.mark.parametrize("unreadable", [True, False])
def test_what_a_newer_compiler_wrote(unreadable: bool) -> None:
    condition = Condition(operator="StringRhymesWith", key="aws:X", values=("a",))
    assert check_of(condition, unreadable=unreadable)(lambda _: ("a",)) is unreadable
