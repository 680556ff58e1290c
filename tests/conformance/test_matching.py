"""Matchers, headers and bodies: what holds, and above all what does not."""

from __future__ import annotations

from typing import Any

import pytest

from conformance_matching import (
    ABSENT,
    body_differences,
    differences,
    header_differences,
    json_differences,
    name_differences,
)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, 1),
        (1, 1.0),
        ("a", "a"),
        (None, None),
        ([1, {"a": 2}], [1, {"a": 2}]),
        ({"a": {"$absent": True}}, {}),
        ({"$any": True}, None),
        ({"$type": "string"}, ""),
        ({"$type": "number"}, 1.5),
        ({"$type": "object"}, {}),
        ({"$type": "array"}, []),
        ({"$regex": "^20[04]$"}, 204),
        ({"$regex": "b"}, "abc"),
        ({"$contains": "b"}, "abc"),
        ({"$contains": 2}, [1, 2]),
        ({"$absent": True}, ABSENT),
        ({"$absent": False}, 1),
        ({"$type": "string", "$regex": "^a"}, "ab"),
    ],
)
def test_what_holds(expected: Any, actual: Any) -> None:
    assert differences(expected, actual, "x") == []


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1, 2),
        (1, True),
        (False, 0),
        (None, ABSENT),
        (None, ""),
        ("1", 1),
        ([1], [1, 2]),
        ([1], (1,)),
        ([], {}),
        ({}, []),
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": {"$absent": True}}, {"a": None}),
        ({"$any": True}, ABSENT),
        ({"$type": "string"}, 1),
        ({"$type": "number"}, True),
        ({"$type": "object"}, []),
        ({"$type": "array"}, {}),
        ({"$regex": "^b"}, "abc"),
        ({"$contains": "x"}, "abc"),
        ({"$absent": True}, 0),
        ({"$type": "string", "$regex": "^b"}, "ab"),
    ],
)
def test_what_does_not_hold(expected: Any, actual: Any) -> None:
    assert differences(expected, actual, "x")


def test_subsets() -> None:
    actual = {"a": {"b": 1, "c": 2}, "l": [{"x": 1, "y": 2}]}
    assert differences({"a": {"b": 1}, "l": [{"x": 1}]}, actual, "x", subset=True) == []
    assert differences({"a": {"b": 2}}, actual, "x", subset=True)
    assert differences({"l": []}, actual, "x", subset=True)


HEADERS = [("X-One", "1"), ("x-two", "a"), ("X-Two", "b"), ("Empty", "")]


@pytest.mark.parametrize(
    "expected",
    [
        {"x-one": "1"},
        {"x-one": 1},
        {"X-TWO": ["a", "b"]},
        {"x-two": "a, b"},
        {"x-three": None},
        {"x-three": {"$absent": True}},
        {"x-one": {"$any": True}},
        {"x-one": ["1"]},
        {"empty": ""},
        {"empty": {"$type": "string"}},
    ],
)
def test_headers_that_hold(expected: dict[str, Any]) -> None:
    assert header_differences(expected, HEADERS, "header") == []


def test_a_list_may_be_one_joined_line() -> None:
    assert header_differences({"v": ["a", "b"]}, [("V", "a, b")], "header") == []


@pytest.mark.parametrize(
    "expected",
    [
        {"x-one": "2"},
        {"x-one": None},
        {"x-three": "1"},
        {"x-two": ["b", "a"]},
        {"x-two": ["a"]},
        {"x-two": "a"},
        {"x-three": {"$any": True}},
        {"x-one": {"$absent": True}},
    ],
)
def test_headers_that_do_not_hold(expected: dict[str, Any]) -> None:
    assert header_differences(expected, HEADERS, "header")


def test_names_on_the_wire() -> None:
    assert name_differences(["X-One"], HEADERS) == []
    assert name_differences(["x-one"], HEADERS)


def test_bodies() -> None:
    assert body_differences("é", "é".encode(), "body") == []
    assert body_differences({"a": 1}, b'{"a": 1}', "body") == []
    assert body_differences({"$contains": "a"}, b"abc", "body") == []
    assert body_differences("x", b"\xff", "body")
    assert json_differences({"a": 1}, b"no", "body")
    assert json_differences({"a": 1}, b'{"a": 1, "b": 2}', "body")
