"""Which of the two languages a text is in."""

from __future__ import annotations

from portico_cli.documents import read


def test_yaml_that_looks_like_json_is_yaml() -> None:
    assert [d.value for d in read("{a: 1, b: c}").documents] == [{"a": 1, "b": "c"}]


def test_json_is_read_as_json_wherever_it_stands() -> None:
    """An escaped pair of surrogates is no YAML, tabs are not always."""
    (document,) = read(' {\n\t"a":\t"\\ud83d\\ude00"}').documents
    assert document.value == {"a": "\U0001f600"}


def test_json_gets_the_lines_of_yaml_for_its_faults() -> None:
    (fault,) = read('{"a": 1,\n "b": {\n  "c": 1, "c": 2}}').faults
    assert (fault.line, fault.path) == (3, "b.c")
    (fault,) = read('{"a": "\\ud800"}').faults
    assert "surrogate" in fault.message


def test_a_json_file_must_be_json() -> None:
    reading = read('{"a": 1,}', json_only=True)
    assert [fault.syntax for fault in reading.faults] == [True]
    assert read("a: 1\n", json_only=True).faults[0].syntax
