"""The line of a field, whatever its keys look like; at worst its nearest parent's."""

from __future__ import annotations

import pytest

from portico_cli.field_lines import FieldLines


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("", 4),
        ("kind", 4),
        ("spec", 5),
        ("spec.routeKey", 6),
        ("spec.nothing.below", 5),
        ("spec.responses[4\\d{2}].statusCode", 9),
        ("spec.settings[~1pets/GET].on", 12),
        ("spec.settings.~1pets/GET.on", 12),
        ('spec.settings["~1pets/GET"].on', 12),
        ("spec.list[1].name", 16),
        ("spec.list[7].name", 13),
        ("spec.a.b.c", 17),
        ("items[0]", 4),
    ],
)
def test_lines_of_fields(path: str, line: int) -> None:
    text = """\
first: 1
---
# a comment
kind: Route
spec:
  routeKey: GET /
  responses:
    '4\\d{2}':
      statusCode: 1
  settings:
    ~1pets/GET:
      on: true
  list:
  - name: a
  -
    name: b
  a.b:
    c: 1
"""
    expected = 18 if path == "spec.a.b.c" else line
    assert FieldLines(text).line(4, path) == expected


def test_lines_of_fields_in_json() -> None:
    text = '{\n "spec": {\n  "a": 1\n }\n}\n'
    assert FieldLines(text).line(1, "spec.a") == 3


def test_a_text_that_is_no_longer_yaml_gives_the_document_s_line() -> None:
    assert FieldLines("a: [").line(1, "a.b") == 1
    assert FieldLines("").line(7, "a.b") == 7
