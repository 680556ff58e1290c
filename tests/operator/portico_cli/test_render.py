"""Plain columns in a pipe, colours on a terminal, and no text that moves the cursor."""

from __future__ import annotations

import io
import json

import pytest

from portico_cli.render import Printer, count, problem_json, shown
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity, Source

PROBLEM = Problem(
    ObjectRef("Route", "default", "r"),
    "spec.timeout",
    Reason.INVALID_VALUE,
    "no",
    source=Source("a.yaml", 0, 3),
)


def printed(problem: Problem, line: int | None, *, colour: bool = False) -> str:
    stream = io.StringIO()
    Printer(stream, colour=colour).problem(problem, line)
    return stream.getvalue()


def test_a_problem_is_one_line() -> None:
    expected = "a.yaml:7: error: Route default/r: spec.timeout: InvalidValue: no\n"
    assert printed(PROBLEM, 7) == expected
    warning = PROBLEM._replace(severity=Severity.WARNING, field="", source=None)
    assert printed(warning, None) == "warning: Route default/r: InvalidValue: no\n"
    nobody = PROBLEM._replace(object=ObjectRef("", "", ""), source=Source("a.yaml"))
    assert printed(nobody, None) == "a.yaml: error: spec.timeout: InvalidValue: no\n"


def test_a_text_cannot_forge_a_line_or_a_colour() -> None:
    evil = PROBLEM._replace(message="x\n\x1b[2Jb.yaml:1: error: \u202e\u2028y", field="a\rb")
    line = printed(evil, 7)
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in printed(PROBLEM, 7, colour=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in printed(PROBLEM, 7, colour=True)


def test_a_table_in_a_pipe() -> None:
    stream = io.StringIO()
    Printer(stream).table(("NAME", "KEY"), [("a", "GET /x"), ("longer", "\x1b[1m")])
    assert stream.getvalue() == "NAME     KEY\na        GET /x\nlonger   \\x1b[1m\n"


def test_a_table_on_a_terminal() -> None:
    stream = io.StringIO()
    Printer(stream, colour=True).table(("NAME", "OK"), [("[bold]a", "True")])
    assert "NAME" in stream.getvalue()
    assert "[bold]a" in stream.getvalue()


def test_json_names_everything() -> None:
    assert json.loads(json.dumps(problem_json(PROBLEM, 7))) == {
        "file": "a.yaml",
        "document": 0,
        "line": 7,
        "object": {"kind": "Route", "namespace": "default", "name": "r"},
        "field": "spec.timeout",
        "reason": "InvalidValue",
        "message": "no",
        "severity": "error",
    }


def test_words() -> None:
    assert [count(n, "problem") for n in (0, 1, 2)] == ["0 problems", "1 problem", "2 problems"]
    assert shown("Zoë → ✓") == "Zoë → ✓"
