"""What people and programs see: problems, tables, JSON.

Called by every command. Promises: colours only on a terminal, plain columns in a pipe, one
line per problem with file, object, field path and reason; whatever a manifest or a client
put into a text, it cannot move the cursor, colour the screen or begin another line.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from portico_compiler.problems import Problem, Severity

LineOf = Callable[[Problem], int | None]

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "blue": "34", "bold": "1", "dim": "2"}


class Printer:
    """Writes to one stream in the way that suits it."""

    def __init__(self, stream: TextIO | None = None, *, colour: bool | None = None) -> None:
        self._stream = stream
        self._colour = colour

    @property
    def stream(self) -> TextIO:
        """Looked up late, so that whoever replaces sys.stdout is heard."""
        return self._stream or sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at it directly."""
        if self._colour is not None:
            return self._colour
        return self.stream.isatty() and os.environ.get("TERM") != "dumb"

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, where there are colours (https://no-color.org)."""
        if not text or not self.is_terminal or os.environ.get("NO_COLOR"):
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def line(self, text: str = "", colour: str = "") -> None:
        """One line."""
        self.stream.write(f"{self.paint(text, colour) if colour else text}\n")
        self.stream.flush()

    def problems(self, problems: Iterable[Problem], line_of: LineOf) -> None:
        """One line each: `file:line: error: Kind namespace/name: field: Reason: message`."""
        for problem in problems:
            self.problem(problem, line_of(problem))

    def problem(self, problem: Problem, line: int | None) -> None:
        """One problem in one line."""
        warning = problem.severity is Severity.WARNING
        parts = [
            self.paint(place(problem, line), "bold"),
            self.paint("warning", "yellow") if warning else self.paint("error", "red"),
        ]
        if problem.object.kind or problem.object.name:
            parts.append(shown(str(problem.object)))
        if problem.field:
            parts.append(self.paint(shown(problem.field), "blue"))
        parts += [str(problem.reason), shown(problem.message)]
        self.line(": ".join(part for part in parts if part))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns under a head: as kubectl prints them in a pipe, with rich on a terminal."""
        cells = [[shown(cell) for cell in row] for row in rows]
        if self.is_terminal:
            self._rich_table(head, cells)
            return
        widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
        for row in (head, *cells):
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.line("   ".join(padded).rstrip())

    def _rich_table(self, head: Sequence[str], cells: list[list[str]]) -> None:
        from rich.console import Console  # 60 ms of import, only where it is seen
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
        for name in head:
            table.add_column(name, overflow="fold")
        for row in cells:
            table.add_row(*(Text(cell, style=_style(cell)) for cell in row))
        Console(file=self.stream).print(table)

    def json(self, value: Any) -> None:
        """A JSON document, indented."""
        self.line(json.dumps(value, indent=2, ensure_ascii=False))


def _style(cell: str) -> str:
    if cell in ("True", "matched"):
        return "green"
    return "red" if cell == "False" else ""


def shown(text: str) -> str:
    """A text in one line, with everything that does not print escaped."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escaped(character) for character in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def place(problem: Problem, line: int | None) -> str:
    """`file:line`, as far as it is known."""
    if problem.source is None:
        return ""
    line = line or problem.source.line
    return shown(f"{problem.source.file}:{line}" if line else problem.source.file)


def problem_json(problem: Problem, line: int | None) -> dict[str, Any]:
    """A problem for programs."""
    source = problem.source
    return {
        "file": source.file if source else None,
        "document": source.index if source else None,
        "line": line,
        "object": {
            "kind": problem.object.kind,
            "namespace": problem.object.namespace,
            "name": problem.object.name,
        },
        "field": problem.field,
        "reason": str(problem.reason),
        "message": problem.message,
        "severity": str(problem.severity),
    }


def count(number: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
