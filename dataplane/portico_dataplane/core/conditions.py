"""Conditions of policy statements, prepared: whether a request's facts meet them.

Called by `core/judgement.py` when a policy is prepared. What an operator means is IAM's (AWS §3.21
lists the keys). Promises: a key that is absent meets a negated operator and no other; a value of
the request that cannot be read as what the operator compares meets nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from operator import eq, ge, gt, le, lt
from typing import Final

from portico_dataplane.core.wildcards import Matcher, matcher, shield
from portico_ir.access import Condition
from portico_ir.operators import Operator, binary, moment, network, number, operator_of

Facts = Callable[[str], tuple[str, ...]]
"""Values of a condition key (lower case); empty: the request has none."""
Check = Callable[[Facts], bool]
"""Whether a request meets a condition."""

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "Equals": eq,
    "LessThan": lt,
    "LessThanEquals": le,
    "GreaterThan": gt,
    "GreaterThanEquals": ge,
}


def check_of(condition: Condition, *, unreadable: bool) -> Check:
    """The check that a condition is; one that a newer compiler wrote is always `unreadable`."""
    operator = operator_of(condition.operator)
    if operator is None:
        return lambda _: unreadable
    key = condition.key.lower()
    if operator.base == "Null":
        absent = {value.lower() == "true" for value in condition.values}
        return lambda facts: (not facts(key)) in absent
    if any("${" in value for value in condition.values):
        return _varying(operator, key, condition.values)
    return _quantified(operator, key, [_value(operator.base, v) for v in condition.values])


def _varying(operator: Operator, key: str, values: tuple[str, ...]) -> Check:
    """Values with `${…}` are other ones for each request."""

    def check(facts: Facts) -> bool:
        filled = [text for value in values if (text := filled_in(value, facts)) is not None]
        if not operator.base.startswith(("StringLike", "Arn")):
            filled = [shield(text) for text in filled]  # these know no wildcards at all
        matchers = [_shielded(_value(operator.base, text)) for text in filled]
        return _quantified(operator, key, matchers)(facts)

    return check


def _shielded(matches: Matcher) -> Matcher:
    return lambda text: matches(shield(text))


def _quantified(operator: Operator, key: str, matchers: list[Matcher]) -> Check:
    negated, if_exists, quantifier = operator.negated, operator.if_exists, operator.quantifier

    def meets(value: str) -> bool:
        return any(matches(value) for matches in matchers) is not negated

    def check(facts: Facts) -> bool:
        values = facts(key)
        if not values:
            return if_exists or (negated and not quantifier) or quantifier == "ForAllValues"
        if quantifier == "ForAllValues" or (negated and not quantifier):
            # Several values without a quantifier: none of them may be what is refused.
            return all(meets(value) for value in values)
        return any(meets(value) for value in values)

    return check


# --- values -----------------------------------------------------------------------------------


def _value(base: str, wanted: str) -> Matcher:
    """What matches one value of a condition."""
    if base == "StringLike":
        return matcher(wanted)
    if base == "StringEqualsIgnoreCase":
        lowered = wanted.lower()
        return lambda text: text.lower() == lowered
    if base.startswith("Numeric"):
        return _compared(base.removeprefix("Numeric"), number, wanted)
    if base.startswith("Date"):
        return _compared(base.removeprefix("Date"), moment, wanted)
    if base.startswith("Arn"):
        return _arn(wanted)
    if base == "IpAddress":
        return _address(wanted)
    if base == "Bool":
        flag = wanted.lower()
        return lambda text: text.lower() == flag
    if base == "BinaryEquals":
        content = binary(wanted)
        return lambda text: content is not None and binary(text) == content
    return wanted.__eq__


def _compared(how: str, read: Callable[[str], float | None], wanted: str) -> Matcher:
    compare, bound = _COMPARE[how], read(wanted)

    def matches(text: str) -> bool:
        value = read(text)
        return value is not None and bound is not None and compare(value, bound)

    return matches


def _arn(wanted: str) -> Matcher:
    """Each of the six parts by itself: a `*` does not reach across their colons."""
    if wanted == "*":
        return matcher(wanted)
    parts = [matcher(part) for part in wanted.split(":", 5)]

    def matches(text: str) -> bool:
        given = text.split(":", 5)
        return len(given) == len(parts) and all(
            match(part) for match, part in zip(parts, given, strict=True)
        )

    return matches


def _address(wanted: str) -> Matcher:
    within = network(wanted)

    def matches(text: str) -> bool:
        address = _parsed(text)
        return within is not None and address is not None and address in within

    return matches


@lru_cache(maxsize=1024)
def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket for both families shows IPv4 clients so.
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


# --- policy variables -------------------------------------------------------------------------


def filled_in(pattern: str, facts: Facts) -> str | None:
    """A pattern with its `${key}` written out; None when the request lacks one of them.

    `${key, 'default'}` has a default; `${*}`, `${?}` and `${$}` are those characters. Neither they
    nor a `*` or `?` in a value are wildcards: `shield` tells them apart.
    """
    pieces: list[str] = []
    rest = pattern
    while True:
        before, opened, after = rest.partition("${")
        pieces.append(before)
        if not opened:
            return "".join(pieces)
        name, closed, rest = after.partition("}")
        value = _variable(name, facts) if closed else None
        if value is None:
            return None
        pieces.append(shield(value))


def _variable(name: str, facts: Facts) -> str | None:
    if name in ("*", "?", "$"):
        return name
    key, comma, default = name.partition(",")
    values = facts(key.strip().lower())
    if len(values) == 1:
        return values[0]
    return default.strip().removeprefix("'").removesuffix("'") if comma and not values else None
