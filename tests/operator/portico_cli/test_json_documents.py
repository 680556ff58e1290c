"""JSON as kubectl takes it: several values, no duplicates, nothing that an encoder chokes on."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_cli.json_documents import read_json
from portico_cli.readings import MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n", []),
        ("null", []),
        ('{"a": 1.0}{"b": [1e3, 2.5]}', [{"a": 1}, {"b": [1000, 2.5]}]),
        ('{"a": "\\ud83d\\ude00", "b": "\\/"}', [{"a": "\U0001f600", "b": "/"}]),
        ('{\n\t"a":\t1\n}', [{"a": 1}]),
        ('{"a": 18446744073709551615}', [{"a": 2**64 - 1}]),
        ('{"a": 99999999999999999999}', [{"a": 1e20}]),
        ("[1]", [[1]]),
    ],
)
def test_what_is_read(text: str, expected: list[object]) -> None:
    reading = read_json(text)
    assert reading.faults == []
    assert [document.value for document in reading.documents] == expected


@pytest.mark.parametrize(
    ("text", "line", "says", "syntax"),
    [
        ('{"a": 1,\n "a": 2}', 1, "twice", False),
        ('{"a": 1e999}', 1, "too large", False),
        ('{"a": ' + "9" * 5000 + "}", 1, "too large", False),
        ('{"a": NaN}', 1, "NaN", False),
        ('{"a": [-Infinity]}', 1, "Infinity", False),
        ('{"a": "\\ud800"}', 1, "surrogate", False),
        ('{"\\udc00": 1}', 1, "surrogate", False),
        ('{"a":' * 50_000, 1, "deeper", False),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, "deeper", False),
        ('{"a": 1,\n}', 2, "not JSON", True),
        ("{}\n{}\nx", 3, "not JSON", True),
    ],
)
def test_what_is_not(text: str, line: int, says: str, syntax: bool) -> None:
    (fault,) = read_json(text).faults
    assert (fault.line, fault.syntax) == (line, syntax)
    assert says in fault.message


def test_values_before_a_fault_are_kept() -> None:
    reading = read_json('{"a": 1}\n{"b": 1}\n{"c": 1')
    assert [(d.value, d.line, d.number) for d in reading.documents] == [
        ({"a": 1}, 1, 0),
        ({"b": 1}, 2, 1),
    ]
    assert reading.faults[0].number == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_json_is_read_as_json(value: dict[str, object]) -> None:
    text = json.dumps(value, ensure_ascii=True)
    assert [d.value for d in read_json(text).documents] == [value]
