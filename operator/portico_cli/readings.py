"""What a text turns out to hold: documents that can be read, and faults with their line.

Made by `yaml_documents` and `json_documents`, used by `files` and `backends`. Faults are
values: nothing a user writes raises.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

MAX_DEPTH: Final = 100
"""Levels of nesting in one document; no schema of ours or of Kubernetes needs more."""


class Fault(NamedTuple):
    """Why a document cannot be read."""

    line: int
    path: str
    """Field path inside the document; empty when the fault is of the text itself."""
    message: str
    syntax: bool
    """The text is not YAML or JSON; otherwise it is, but says what no manifest may say."""
    number: int = 0
    """Number of the document in the text, from 0; empty ones do not count."""


class Document(NamedTuple):
    """One document that could be read."""

    value: Any
    line: int
    """Where its content starts, from 1."""
    number: int = 0
    """Number of the document in the text, from 0; empty ones do not count."""
    faulty: bool = False
    """It has faults: good for finding more of them, not for serving."""


class Reading(NamedTuple):
    """All that a text holds, in order."""

    documents: list[Document]
    faults: list[Fault]

    def next_number(self) -> int:
        """What the next document gets."""
        numbers = [document.number for document in self.documents[-1:]]
        numbers += [fault.number for fault in self.faults[-1:]]
        return 1 + max(numbers, default=-1)
