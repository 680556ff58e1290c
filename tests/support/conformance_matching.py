"""Comparing what came with what a case expects: values with matchers, headers, bodies.

Used by conformance_execution. Every function gives the differences as sentences; none is good.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from conformance_cases import MATCHERS


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT: Any = _Absent()
"""Stands for a value that is not there."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
}


def differences(expected: Any, actual: Any, where: str, *, subset: bool = False) -> list[str]:
    """Where `actual` is not as expected; with `subset` mappings may hold more than is said."""
    if is_matcher(expected):
        return _unmatched(expected, actual, where)
    if actual is ABSENT:
        return [f"{where}: expected {shown(expected)}, is missing"]
    if isinstance(expected, dict):
        return _mapping_differences(expected, actual, where, subset)
    if isinstance(expected, list):
        if not isinstance(actual, list):
            return [f"{where}: expected a list, got {shown(actual)}"]
        if len(actual) != len(expected):
            return [f"{where}: expected {shown(expected)}, got {shown(actual)}"]
        return [
            difference
            for i, (one, other) in enumerate(zip(expected, actual, strict=True))
            for difference in differences(one, other, f"{where}[{i}]", subset=subset)
        ]
    if isinstance(expected, bool) is not isinstance(actual, bool) or expected != actual:
        return [f"{where}: expected {shown(expected)}, got {shown(actual)}"]
    return []


def is_matcher(expected: Any) -> bool:
    """Whether a value of an expectation is a matcher."""
    return isinstance(expected, dict) and bool(expected) and expected.keys() <= MATCHERS


def header_differences(
    expected: dict[str, Any], actual: Sequence[tuple[str, str]], where: str
) -> list[str]:
    """Headers by name in any case. None: absent. A list: these lines, or one joined by ", "."""
    found = []
    for name, value in expected.items():
        lines = [text for key, text in actual if key.lower() == name.lower()]
        found += _header_difference(value, lines, f"{where} {name}")
    return found


def name_differences(expected: Iterable[str], actual: Sequence[tuple[str, str]]) -> list[str]:
    """Header names must be on the wire in exactly this spelling."""
    names = [name for name, _ in actual]
    return [
        f"header name {name!r} is not on the wire: {', '.join(names)}"
        for name in expected
        if name not in names
    ]


def body_differences(expected: Any, actual: bytes, where: str) -> list[str]:
    """A body as text; as JSON where the expectation is a structure."""
    if isinstance(expected, dict | list) and not is_matcher(expected):
        return json_differences(expected, actual, where)
    return differences(expected, text_of(actual), where)


def json_differences(
    expected: Any, actual: bytes, where: str, *, subset: bool = False
) -> list[str]:
    """A body as JSON."""
    try:
        value = json.loads(actual)
    except ValueError:
        return [f"{where}: expected JSON, got {shown(text_of(actual))}"]
    return differences(expected, value, where, subset=subset)


def text_of(data: bytes) -> str:
    """Bytes as text, so that different bytes stay different."""
    return data.decode("utf-8", "surrogateescape")


def shown(value: Any) -> str:
    """A value, short enough for a line."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:200]}… ({len(text)} characters)"


def _mapping_differences(
    expected: dict[str, Any], actual: Any, where: str, subset: bool
) -> list[str]:
    if not isinstance(actual, dict):
        return [f"{where}: expected a mapping, got {shown(actual)}"]
    found = [
        difference
        for key, value in expected.items()
        for difference in differences(
            value, actual.get(str(key), ABSENT), f"{where}.{key}", subset=subset
        )
    ]
    more = [] if subset else sorted(actual.keys() - {str(key) for key in expected})
    return found + [f"{where}: has {key!r} too: {shown(actual[key])}" for key in more]


def _unmatched(matchers: dict[str, Any], actual: Any, where: str) -> list[str]:
    found = []
    for name, argument in matchers.items():
        if name == "$absent":
            fine = (actual is ABSENT) is bool(argument)
        elif actual is ABSENT:
            fine = False
        elif name == "$type":
            fine = isinstance(actual, _TYPES[argument]) and (
                argument == "boolean" or not isinstance(actual, bool)
            )
        elif name == "$regex":
            fine = re.search(argument, _searched(actual)) is not None
        elif name == "$contains":
            fine = argument in (actual if isinstance(actual, list) else _searched(actual))
        else:
            fine = True  # $any: it is there
        if not fine:
            found.append(f"{where}: expected {name} {shown(argument)}, got {shown(actual)}")
    return found


def _searched(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _header_difference(expected: Any, lines: list[str], where: str) -> list[str]:
    joined: Any = ", ".join(lines) if lines else ABSENT
    if expected is None:
        return [f"{where}: expected none, got {shown(joined)}"] if lines else []
    if isinstance(expected, list):
        texts = [str(value) for value in expected]
        if lines == texts or joined == ", ".join(texts):
            return []
        return [f"{where}: expected {shown(texts)}, got {shown(lines)}"]
    if not isinstance(expected, dict):
        expected = str(expected)
    return differences(expected, joined, where)
