"""Durations and sizes become whole numbers, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_compiler import quantities


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("29s", 29_000),
        ("1m30s", 90_000),
        ("500ms", 500),
        ("1.5s", 1500),
        ("0.0001s", 1),
        ("0s", 0),
        ("1h", 3_600_000),
        ("1ms1ms", 2),
        ("", None),
        ("29", None),
        ("s", None),
        ("-1s", None),
        ("1s\n", None),
        ("1 s", None),
        ("1e3s", None),
    ],
)
def test_durations(text: str, expected: int | None) -> None:
    assert quantities.milliseconds(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10Mi", 10 * 1024 * 1024),
        ("1Gi", 1024**3),
        ("65536", 65536),
        (7, 7),
        (0, 0),
        ("1.5k", 1500),
        ("0.3", 1),
        ("2T", 2 * 10**12),
        ("10mb", None),
        ("", None),
        ("1Gi\n", None),
        ("-1", None),
    ],
)
def test_sizes(value: int | str, expected: int | None) -> None:
    assert quantities.size(value) == expected


@given(st.text())
def test_any_text_is_a_number_or_nothing(text: str) -> None:
    for found in (quantities.milliseconds(text), quantities.size(text)):
        assert found is None or (type(found) is int and found >= 0)
