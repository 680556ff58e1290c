"""Documents, faults with their line, and texts made to crash a reader."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_cli.documents import read
from portico_cli.field_lines import FieldLines
from portico_cli.readings import MAX_DEPTH
from portico_cli.yaml_documents import MAX_ALIASED


def values(text: str) -> list[object]:
    reading = read(text)
    assert reading.faults == []
    return [document.value for document in reading.documents]


def only_fault(text: str) -> tuple[int, str, str]:
    (fault,) = read(text).faults
    return fault.line, fault.path, fault.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# nothing\n", []),
        ("---\n---\n# c\n---\na: 1\n", [{"a": 1}]),
        ("a: 1\n---\nb: [1, {c: 2}]\n", [{"a": 1}, {"b": [1, {"c": 2}]}]),
        ("\ufeffa: 1", [{"a": 1}]),
        ("%YAML 1.1\n---\na: 1\n", [{"a": 1}]),
        ("--- {a: 1}\n--- {b: 2}\n", [{"a": 1}, {"b": 2}]),
        ("a: 1\n...\n---\nb: 2\n...\n", [{"a": 1}, {"b": 2}]),
        (
            "a: 'yes'\nb: yes\nc: \"12\"\nd: 'null'\n",
            [{"a": "yes", "b": "yes", "c": "12", "d": "null"}],
        ),
        ("a: |\n  x\n  ---\n  y\nb: >-\n  p\n  q\n", [{"a": "x\n---\ny\n", "b": "p q"}]),
        ("a: &x {k: 1}\nb: *x\n", [{"a": {"k": 1}, "b": {"k": 1}}]),
        ("a: &x 1\nb: [*x, *x]\n", [{"a": 1, "b": [1, 1]}]),
        ("a: &x 1\nb: &x 2\nc: *x\n", [{"a": 1, "b": 2, "c": 2}]),
        (
            "d: &d {x: 1, y: 2}\nm:\n  <<: *d\n  y: 3\n",
            [{"d": {"x": 1, "y": 2}, "m": {"x": 1, "y": 3}}],
        ),
        ("m:\n  <<: [{x: 1}, {x: 2, y: 2}]\n", [{"m": {"x": 1, "y": 2}}]),
        ("200: a\n1.5: b\ntrue: c\n0644: d\n", [{"200": "a", "1.5": "b", "true": "c", "420": "d"}]),
        ("? a\n? b\n", [{"a": None, "b": None}]),
        ("- a\n- b\n", [["a", "b"]]),
        ("just text\n", ["just text"]),
        ("a: ! 12\n", [{"a": "12"}]),
        ("{a: 1, b: c}", [{"a": 1, "b": "c"}]),
    ],
)
def test_what_is_read(text: str, expected: list[object]) -> None:
    assert values(text) == expected
    assert json.dumps(values(text), sort_keys=True) == json.dumps(expected, sort_keys=True)


@pytest.mark.parametrize(
    ("text", "line", "path", "says"),
    [
        ("spec:\n  a: 1\n  b: 2\n  a: 3\n", 4, "spec.a", '"a" appears twice'),
        ("a:\n- x: 1\n  x: 2\n", 3, "a[0].x", "twice"),
        ("\"a\": 1\n'a': 2\n", 2, "a", "twice"),
        ("200: a\n'200': b\n", 2, "200", "twice"),
        ("a: &x [*x]\n", 1, "a[0]", "contains it"),
        ("a: &x\n  b: *x\n", 2, "a.b", "contains it"),
        ("a: *x\n", 1, "a", "no anchor"),
        ("? [a]\n: 1\n", 1, "", "key must be text"),
        ("a:\n  {b: 1}: 2\n", 2, "a", "key must be text"),
        ("a: &x [1]\n*x : 2\n", 2, "", "key must be text"),
        ("a:\n  null: 1\n", 2, "a", "not null"),
        ("~: 1\n", 1, "", "not null"),
        ("a: .inf\n", 1, "a", "JSON"),
        ("a: [1, .nan]\n", 1, "a[1]", "JSON"),
        ("a: !Ref x\n", 1, "a", "!Ref"),
        ("a: !x {b: 1}\n", 1, "a", "!x"),
        ("a: !!set {b}\n", 1, "a", "!!set"),
        ("a: !!int x\n", 1, "a", "!!int"),
        ("a: !!python/object/apply:os.system [ls]\n", 1, "a", "means nothing"),
        ("m:\n  <<: 3\n", 2, "m", "<<"),
        ("m:\n  <<: {a: 1}\n  <<: {b: 1}\n", 3, "m.<<", "twice"),
    ],
)
def test_what_no_manifest_may_say(text: str, line: int, path: str, says: str) -> None:
    fault = only_fault(text)
    assert fault[:2] == (line, path)
    assert says in fault[2]
    assert not read(text).faults[0].syntax


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1,\n", 3),
        ("a: 'x\n", 2),
        ("a:\n\tb: 1\n", 2),
        ("a: b: c\n", 1),
        ("a: 1\n b: 2\n", 2),
        ("a: @x\n", 1),
        ("a: 1\nb: \x00\n", 2),
        ("a: \x1b[31m\n", 1),
        ("}\n", 1),
        ("%\n", 1),
    ],
)
def test_what_is_not_yaml(text: str, line: int) -> None:
    (fault,) = read(text).faults
    assert fault.syntax
    assert fault.line == line
    assert fault.path == ""


def test_a_broken_document_does_not_hide_the_next() -> None:
    reading = read("a: 1\n---\nb: [\n---\nc: 1\nc: 2\n---\nd: 'x\n---\ne: 1\n")
    assert [d.value for d in reading.documents if not d.faulty] == [{"a": 1}, {"e": 1}]
    assert [(fault.line, fault.number) for fault in reading.faults] == [(4, 1), (6, 2), (9, 3)]
    assert [document.number for document in reading.documents] == [0, 2, 4]
    assert [document.line for document in reading.documents] == [1, 5, 10]


def test_a_faulty_document_is_kept_for_finding_more() -> None:
    """But marked: nobody knows which of the two was meant."""
    (document,) = read("kind: Route\nspec: {a: 1, a: 2}\n").documents
    assert document.faulty
    assert document.value == {"kind": "Route", "spec": {"a": 2}}


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 100_000,
        "{" * 100_000,
        "a: " + "[" * 100_000,
        '{"a":' * 100_000,
        "- " * 20_000 + "x",
        "? " * 20_000 + "x",
        "a: &a {b: 1}\nc: [" + "*a, " * (MAX_ALIASED + 1) + "]",
    ],
    ids=["bomb", "lists", "maps", "value", "json", "dashes", "keys", "aliases"],
)
def test_texts_made_to_crash(text: str) -> None:
    """A fault, soon, and the next document is still read."""
    reading = read(text + "\n---\nok: 1\n")
    assert reading.faults
    if not text.startswith('{"a":'):
        assert reading.documents[-1].value == {"ok": 1}


def test_depth_up_to_the_limit_is_fine() -> None:
    assert values("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    assert "deeper" in only_fault("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))[2]
    nested = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert values(nested)
    assert "deeper" in only_fault('{"a":' + nested + "}")[2]


@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@#?,\n \t~<0.x\x00\ufeff\u2028é", max_size=60))
def test_any_text_ends_in_a_reading(text: str) -> None:
    """Never an exception; what is read is JSON."""
    reading = read(text)
    for document in reading.documents:
        json.dumps(document.value, allow_nan=False).encode()
        assert 1 <= document.line <= text.count("\n") + 2
        FieldLines(text).line(document.line, "a.b[0]")
    for fault in reading.faults:
        assert fault.message
        assert fault.line >= 1
