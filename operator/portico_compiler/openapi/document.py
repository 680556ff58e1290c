"""An OpenAPI document as places: each value knows where it stands and where to complain.

Called by every other module of this package. Promises: reading never raises, whatever the
document holds; a value of the wrong type is one finding at its path and reads as absent; local
`$ref`s are followed, foreign ones are findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from portico_compiler.problems import Reason, field_path

Json = Mapping[str, "Json"] | list["Json"] | str | int | float | bool | None
Steps = tuple[str | int, ...]

MAX_DEPTH = 100
"""Levels of nesting; deeper documents are not descriptions of an API."""


class Finding(NamedTuple):
    """Something in the document that was not taken as written."""

    steps: Steps
    """Where."""
    reason: Reason
    """FIELDS_IGNORED where leaving it out changes nothing that a caller could notice."""
    message: str
    """What is wrong, for the author."""


class Findings:
    """Findings in the order in which they were made, each once."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[Finding, None] = {}

    def add(self, finding: Finding) -> None:
        """Keep it."""
        self._found.setdefault(finding)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._found)

    @property
    def serious(self) -> bool:
        """Something was left out that a caller could notice."""
        return any(finding.reason is not Reason.FIELDS_IGNORED for finding in self._found)


class Node:
    """One value, where it stands, the document it belongs to."""

    __slots__ = ("findings", "root", "steps", "value")

    def __init__(self, value: Json, steps: Steps, root: Json, findings: Findings) -> None:
        self.value = value
        self.steps = steps
        self.root = root
        self.findings = findings

    def reporting_to(self, findings: Findings) -> Node:
        """The same place, with complaints (its own and below) kept apart."""
        return Node(self.value, self.steps, self.root, findings)

    # --- complaints

    def complain(self, reason: Reason, message: str) -> None:
        """Keep a finding about this place."""
        self.findings.add(Finding(self.steps, reason, message))

    def wrong(self, message: str) -> None:
        """The document is in error here."""
        self.complain(Reason.INVALID_VALUE, message)

    def missing(self, message: str) -> None:
        """Something must stand here."""
        self.complain(Reason.MISSING_FIELD, message)

    def unknown(self, message: str) -> None:
        """A field that nobody here has heard of."""
        self.complain(Reason.UNKNOWN_FIELD, message)

    def dangling(self, message: str) -> None:
        """The document names here what it does not have."""
        self.complain(Reason.REF_NOT_FOUND, message)

    def unsupported(self, message: str) -> None:
        """We cannot do what the document says here."""
        self.complain(Reason.NOT_IMPLEMENTED, message)

    def ignored(self, message: str) -> None:
        """Left out, and nobody will notice."""
        self.complain(Reason.FIELDS_IGNORED, message)

    # --- reading

    @property
    def present(self) -> bool:
        """There is a value, and it is not null."""
        return self.value is not None

    def __getitem__(self, key: str) -> Node:
        """The child of that name; absent when there is none."""
        value = None
        if isinstance(self.value, Mapping):
            value = self.value.get(key)
        elif self.present:
            self.wrong("must be a mapping")
        return Node(value, (*self.steps, key), self.root, self.findings)

    def items(self) -> list[tuple[str, Node]]:
        """Children by name, in the order of the document; none when absent."""
        if isinstance(self.value, Mapping):
            return [(key, self[key]) for key in self.value]
        if self.present:
            self.wrong("must be a mapping")
        return []

    def elements(self) -> list[Node]:
        """Members of a list; none when absent."""
        if isinstance(self.value, list):
            return [
                Node(value, (*self.steps, index), self.root, self.findings)
                for index, value in enumerate(self.value)
            ]
        if self.present:
            self.wrong("must be a list")
        return []

    def text(self) -> str:
        """A text; numbers and booleans as JSON writes them. Empty when absent."""
        value = self.value
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return str(value)
        if self.present:
            self.wrong("must be a text")
        return ""

    def texts(self) -> list[str]:
        """A list of texts; none when absent."""
        return [element.text() for element in self.elements()]

    def text_map(self) -> dict[str, str]:
        """A mapping to texts; empty when absent."""
        return {key: node.text() for key, node in self.items()}

    def flag(self) -> bool | None:
        """A boolean, also spelt `"true"`; None when absent."""
        if isinstance(self.value, bool):
            return self.value
        if self.value in ("true", "false"):
            return self.value == "true"
        if self.present:
            self.wrong("must be true or false")
        return None

    def integer(self) -> int | None:
        """A whole number, also as text (exports write both); None when absent."""
        value = self.value
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e18:
            return int(value)
        if self.present:
            self.wrong("must be a whole number")
        return None

    def mapping(self) -> dict[str, Json]:
        """The value as it stands when it is a mapping; empty when absent."""
        if isinstance(self.value, Mapping):
            return dict(self.value)
        if self.present:
            self.wrong("must be a mapping")
        return {}

    def followed(self) -> Node:
        """What a `$ref` here leads to, at its own path; otherwise this place."""
        node, seen = self, set[str]()
        while isinstance(node.value, Mapping) and isinstance(node.value.get("$ref"), str):
            pointer = str(node.value["$ref"])
            if pointer in seen:
                self.wrong(f"$ref {pointer!r} leads back to itself")
                return self._nothing()
            seen.add(pointer)
            target = self._at(pointer)
            if target is None:
                return self._nothing()
            node = target
        return node

    def _at(self, pointer: str) -> Node | None:
        if not pointer.startswith("#/"):
            self.unsupported(f"$ref {pointer!r} leaves the document")
            return None
        node = Node(self.root, (), self.root, self.findings)
        for part in pointer[2:].split("/"):
            node = node[unquote(part).replace("~1", "/").replace("~0", "~")]
        if not node.present:
            self.dangling(f"$ref {pointer!r} leads nowhere")
            return None
        return node

    def _nothing(self) -> Node:
        return Node(None, self.steps, self.root, self.findings)


def read(document: object, variables: Mapping[str, str]) -> Node:
    """The root of a document, with `${AWS::…}` written out and keys turned into texts."""
    findings = Findings()
    value = _Reader(variables, findings).clean(document, ())
    return Node(value, (), value, findings)


class _Reader:
    """Copies a document into JSON values. YAML may hold numbers as keys, dates, and loops."""

    def __init__(self, variables: Mapping[str, str], findings: Findings) -> None:
        self._variables = variables
        self._findings = findings
        # By identity, so that what YAML aliases share stays shared; the originals are kept
        # alive by the document, so no identity is used twice.
        self._done: dict[int, Json] = {}
        self._open: set[int] = set()

    def clean(self, value: object, steps: Steps) -> Json:
        if isinstance(value, str):
            return self._written_out(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if not isinstance(value, Mapping | list | tuple):
            return str(value)
        if len(steps) > MAX_DEPTH or id(value) in self._open:
            message = "the document is nested without end here"
            self._findings.add(Finding(steps, Reason.MALFORMED_DOCUMENT, message))
            return None
        if id(value) not in self._done:
            self._open.add(id(value))
            self._done[id(value)] = self._inside(value, steps)
            self._open.discard(id(value))
        return self._done[id(value)]

    def _inside(
        self,
        value: Mapping[object, object] | list[object] | tuple[object, ...],
        steps: Steps,
    ) -> Json:
        if not isinstance(value, Mapping):
            return [self.clean(child, (*steps, i)) for i, child in enumerate(value)]
        cleaned: dict[str, Json] = {}
        for key, child in value.items():
            name = self._written_out(_key(key))
            cleaned[name] = self.clean(child, (*steps, name))
        return cleaned

    def _written_out(self, text: str) -> str:
        if "${AWS::" not in text:
            return text
        for name, value in self._variables.items():
            text = text.replace(f"${{{name}}}", value)
        return text


def _key(key: object) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def place(finding: Finding) -> str:
    """Where a finding is, as kubectl writes paths."""
    return field_path(*finding.steps)
