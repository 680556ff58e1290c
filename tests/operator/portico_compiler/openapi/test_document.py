"""Reading documents: references, loops, wrong types, texts written out."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from portico_compiler.openapi.document import Node, place, read
from portico_compiler.problems import Reason


def complaints(node: Node) -> list[tuple[str, Reason]]:
    return [(place(finding), finding.reason) for finding in node.findings]


def test_keys_become_texts_and_dates_stay_as_written() -> None:
    root = read({200: 1, True: 2, None: 3, "d": datetime.date(2020, 1, 2), "t": (1, 2)}, {})
    assert root.value == {"200": 1, "true": 2, "null": 3, "d": "2020-01-02", "t": [1, 2]}


def test_aws_variables_are_written_out_and_others_kept() -> None:
    text = "arn:${AWS::Partition}:x:${AWS::Region}:${stageVariables.v}"
    root = read({text: [text]}, {"AWS::Partition": "aws", "AWS::Region": "eu-west-1"})
    written = "arn:aws:x:eu-west-1:${stageVariables.v}"
    assert root.value == {written: [written]}


def test_a_loop_is_a_finding() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    root = read({"a": loop}, {})
    assert root.value == {"a": {"again": None}}
    assert complaints(root) == [("a.again", Reason.MALFORMED_DOCUMENT)]


def test_what_aliases_share_stays_shared() -> None:
    level: Any = ["x"]
    for _ in range(60):
        level = [level, level]
    assert complaints(read({"a": level}, {})) == []


def test_endless_nesting_is_a_finding() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = {"d": deep}
    assert [reason for _, reason in complaints(read(deep, {}))] == [Reason.MALFORMED_DOCUMENT]


def test_references_are_followed() -> None:
    root = read(
        {"a": {"$ref": "#/b/x~1y/%7Bz%7D"}, "b": {"x/y": {"{z}": {"$ref": "#/c"}}}, "c": 7}, {}
    )
    found = root["a"].followed()
    assert (found.value, place_of(found)) == (7, "c")
    assert complaints(root) == []


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("#/nowhere", Reason.REF_NOT_FOUND),
        ("#/a", Reason.INVALID_VALUE),
        ("other.yaml#/a", Reason.NOT_IMPLEMENTED),
        ("http://example.com/a", Reason.NOT_IMPLEMENTED),
    ],
)
def test_references_that_lead_nowhere(reference: str, reason: Reason) -> None:
    root = read({"a": {"$ref": reference}}, {})
    assert not root["a"].followed().present
    assert complaints(root) == [("a", reason)]


def place_of(node: Node) -> str:
    return ".".join(str(step) for step in node.steps)


@pytest.mark.parametrize(
    ("method", "value", "result"),
    [
        ("text", "a", "a"),
        ("text", 2.0, "2.0"),
        ("text", True, "true"),
        ("text", None, ""),
        ("flag", "true", True),
        ("flag", False, False),
        ("flag", None, None),
        ("integer", "29000", 29_000),
        ("integer", 5.0, 5),
        ("integer", None, None),
        ("texts", ["a", 1], ["a", "1"]),
        ("text_map", {"a": 1}, {"a": "1"}),
        ("mapping", {"a": 1}, {"a": 1}),
        ("mapping", None, {}),
    ],
)
def test_values_as_exports_write_them(method: str, value: Any, result: Any) -> None:
    root = read({"v": value}, {})
    assert getattr(root["v"], method)() == result
    assert complaints(root) == []


@pytest.mark.parametrize(
    ("method", "value", "result"),
    [
        ("text", [], ""),
        ("flag", "yes", None),
        ("flag", 1, None),
        ("integer", "ten", None),
        ("integer", True, None),
        ("integer", 1.5, None),
        ("integer", float("inf"), None),
        ("texts", "a", []),
        ("text_map", [], {}),
        ("mapping", "a", {}),
        ("items", 3, []),
        ("elements", {}, []),
    ],
)
def test_wrong_types_are_findings_and_read_as_absent(method: str, value: Any, result: Any) -> None:
    root = read({"v": value}, {})
    assert getattr(root["v"], method)() == result
    assert complaints(root) == [("v", Reason.INVALID_VALUE)]


def test_paths_are_written_as_kubectl_writes_them() -> None:
    root = read({"paths": {"/pets/{id}": {"get": ["a"]}}}, {})
    root["paths"]["/pets/{id}"]["get"].elements()[0].wrong("no")
    assert complaints(root) == [("paths[/pets/{id}].get[0]", Reason.INVALID_VALUE)]
