"""JSON text into documents, with everything refused that JSON's own reader lets through.

Called by `documents`. Duplicate keys, NaN, half surrogate pairs and endless nesting are
faults; numbers are what kubectl sends for them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from portico_cli.readings import MAX_DEPTH, Document, Fault, Reading
from portico_cli.yaml_scalars import integral

_SURROGATE = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\r\n]*")


class _NotAManifest(ValueError):
    """JSON, but with something that no manifest may hold."""


def read_json(text: str) -> Reading:
    """One JSON value or several, one after the other, as kubectl takes them."""
    reading = Reading([], [])
    decoder = json.JSONDecoder(
        object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
    )
    position = 0
    while True:
        position = _after_space(text, position)
        if position >= len(text):
            return reading
        line = text.count("\n", 0, position) + 1
        try:
            value, position = decoder.raw_decode(text, position)
            _check_json(value)
        except json.JSONDecodeError as error:
            fault = Fault(error.lineno, "", f"not JSON: {error.msg}", syntax=True)
            return _with_fault(reading, fault)
        except _NotAManifest as error:
            return _with_fault(reading, Fault(line, "", str(error), syntax=False))
        except RecursionError:
            message = f"nested deeper than {MAX_DEPTH} levels"
            return _with_fault(reading, Fault(line, "", message, syntax=False))
        if value is not None:
            reading.documents.append(Document(value, line, reading.next_number()))


def _with_fault(reading: Reading, fault: Fault) -> Reading:
    reading.faults.append(fault._replace(number=reading.next_number()))
    return reading


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _NotAManifest(f'the key "{key}" appears twice in one object')
            seen.add(key)
    return made


def _constant(name: str) -> Any:
    raise _NotAManifest(f"{name} has no value in JSON")


def _float(text: str) -> int | float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _NotAManifest(f"the number {text[:20]} is too large")
    return integral(value)


def _int(text: str) -> int | float:
    if len(text) <= 20 and -(2**63) <= (value := int(text)) < 2**64:
        return value
    return _float(text)


def _check_json(value: Any) -> None:
    """Depth, half surrogate pairs: what json.loads lets through and encoders choke on."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise _NotAManifest(f"nested deeper than {MAX_DEPTH} levels")


def _children(node: Any) -> Iterator[Any]:
    if type(node) is dict:
        for key, child in node.items():
            _check_text(key)
            yield from _child(child)
    elif type(node) is list:
        for child in node:
            yield from _child(child)


def _child(child: Any) -> Iterator[Any]:
    if type(child) is str:
        _check_text(child)
    elif type(child) is dict or type(child) is list:
        yield child


def _check_text(text: str) -> None:
    if not text.isascii() and _SURROGATE.search(text) is not None:
        raise _NotAManifest("a text holds half of a surrogate pair")
