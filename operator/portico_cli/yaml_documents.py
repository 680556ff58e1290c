"""YAML text into plain documents, and faults with their line instead of exceptions.

Called by `documents`. Built on libyaml's events with a stack of our own, so that nothing
recurses: a file of a million brackets or a bomb of aliases is a fault, not a crash. One
broken document does not hide the next: reading goes on at the next `---`, where kubectl
would have cut the file too.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from portico_cli.readings import MAX_DEPTH, Document, Fault, Reading
from portico_cli.yaml_scalars import Unreadable, key_text, resolved, shown_tag, tagged

MAX_ALIASED: Final = 100_000
"""Nodes that the aliases of one document may stand for, together."""

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_AFTER_DASHES: Final = frozenset(("", " ", "\t", "\r", "\n", "\x85", "\u2028", "\u2029"))
_STRUCTURE_TAGS: Final = {
    "map": "tag:yaml.org,2002:map",
    "seq": "tag:yaml.org,2002:seq",
}


def line_starts(text: str) -> list[int]:
    """Where lines begin, by what YAML 1.1 takes for a line break."""
    return [0, *(found.end() for found in _LINE_BREAK.finditer(text))]


def separates(text: str, at: int) -> bool:
    return text.startswith("---", at) and text[at + 3 : at + 4] in _AFTER_DASHES


def read_yaml(text: str) -> Reading:
    reading = Reading([], [])
    unprintable = _UNPRINTABLE.search(text)
    if unprintable is not None:
        line = text.count("\n", 0, unprintable.start()) + 1
        message = f"the character U+{ord(unprintable[0]):04X} may not stand in YAML"
        reading.faults.append(Fault(line, "", message, syntax=True))
        return reading
    start: int | None = 0
    starts = [0]
    while start is not None:
        resume = _Builder(reading, start).build(text[starts[start] :])
        if resume is None:
            return reading
        if len(starts) == 1:
            starts = line_starts(text)
        separators = (n for n in range(start + resume, len(starts)) if separates(text, starts[n]))
        start = next(separators, None)
    return reading


class _Stop(Exception):
    """Reading this document further makes no sense."""


class _Frame:
    """A collection whose end has not been seen."""

    __slots__ = ("anchor", "as_key", "key", "line", "merges", "nodes_before", "value")

    def __init__(self, value: Any, anchor: str | None, nodes_before: int, line: int) -> None:
        self.value = value
        self.anchor = anchor
        self.nodes_before = nodes_before
        self.line = line
        self.key: str | None = None
        self.as_key = False
        """It stands where a key is expected."""
        self.merges: list[Any] | None = None


_MERGE: Final = "\x00<<"
"""What the key `<<` becomes; no key of a text can hold a NUL."""


class _Builder:
    """Reads one text from its start to its end or to the first error of syntax."""

    def __init__(self, reading: Reading, offset: int) -> None:
        self.reading = reading
        self.offset = offset
        self.document_start = 0
        self.reset()

    def reset(self) -> None:
        self.frames: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.open_anchors: set[str] = set()
        self.nodes = 0
        self.aliased = 0
        self.faults: list[Fault] = []
        self.root: Any = None
        self.root_line = 0

    def build(self, text: str) -> int | None:
        """None at the end of the text, else the line (of it) to look for the next `---` from."""
        loader = Loader(text)
        try:
            self.run(loader)
        except yaml.YAMLError as error:
            line, message = _syntax_error(error, self.document_start)
            number = self.reading.next_number()
            fault = Fault(self.offset + line + 1, "", message, syntax=True, number=number)
            self.reading.faults.append(fault)
            return max(self.document_start + 1, 1)
        except _Stop:
            self.reading.faults.extend(self.numbered_faults())
            return max(self.document_start + 1, 1)
        finally:
            loader.dispose()
        return None

    def run(self, loader: Any) -> None:
        get_event = loader.get_event
        while True:
            event = get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self.scalar(event)
            elif kind is yaml.MappingStartEvent:
                self.start(event, {}, "map")
            elif kind is yaml.SequenceStartEvent:
                self.start(event, [], "seq")
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self.end()
            elif kind is yaml.AliasEvent:
                self.alias(event)
            elif kind is yaml.DocumentStartEvent:
                self.document_start = event.start_mark.line
            elif kind is yaml.DocumentEndEvent:
                self.end_document()
                self.document_start = event.end_mark.line
            elif kind is yaml.StreamEndEvent:
                return

    def scalar(self, event: Any) -> None:
        try:
            if event.tag is not None:
                value = tagged(event.tag, event.value, plain=event.implicit[0])
            elif event.implicit[0]:
                value = resolved(event.value)
                if value == "<<" and self.key_expected():
                    value = _MERGE
            else:
                value = event.value
        except Unreadable as error:
            self.fault(event, str(error))
            value = event.value
        self.nodes += 1
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self.put(value, event)

    def start(self, event: Any, value: Any, kind: str) -> None:
        if event.tag is not None and event.tag not in ("!", _STRUCTURE_TAGS[kind]):
            self.fault(event, f"the tag {shown_tag(event.tag)} means nothing in a manifest")
        if len(self.frames) >= MAX_DEPTH:
            self.fault(event, f"nested deeper than {MAX_DEPTH} levels")
            raise _Stop
        frame = _Frame(value, event.anchor, self.nodes, event.start_mark.line)
        frame.as_key = self.key_expected()
        if frame.as_key:
            self.fault(event, "a key must be text, not a list or an object")
        self.nodes += 1
        if event.anchor is not None:
            self.open_anchors.add(event.anchor)
        if not self.frames:
            self.root_line = event.start_mark.line
        self.frames.append(frame)

    def end(self) -> None:
        frame = self.frames.pop()
        if frame.merges is not None:
            self.merge(frame)
        if frame.anchor is not None:
            self.open_anchors.discard(frame.anchor)
            self.anchors[frame.anchor] = (frame.value, self.nodes - frame.nodes_before)
        if not self.frames:
            self.root = frame.value
        elif frame.as_key:
            # Already a fault; any text will do to read on.
            self.frames[-1].key = f"\x00{self.nodes}"
        else:
            self.put(frame.value, None)

    def alias(self, event: Any) -> None:
        name = event.anchor
        if name in self.open_anchors:
            self.fault(event, f"*{name} stands for an object that contains it")
            value, size = None, 1
        elif name not in self.anchors:
            self.fault(event, f"no anchor &{name} stands before this alias")
            value, size = None, 1
        else:
            value, size = self.anchors[name]
        self.nodes += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            self.fault(event, f"aliases stand for more than {MAX_ALIASED} nodes")
            raise _Stop
        if self.key_expected() and isinstance(value, dict | list):
            self.fault(event, "a key must be text, not a list or an object")
            value = f"\x00{self.nodes}"
        self.put(value, event)

    def key_expected(self) -> bool:
        return (
            bool(self.frames)
            and type(self.frames[-1].value) is dict
            and (self.frames[-1].key is None)
        )

    def put(self, value: Any, event: Any) -> None:
        """Place a finished value: as root, list item, key, or value of the pending key."""
        if not self.frames:
            self.root = value
            if event is not None:
                self.root_line = event.start_mark.line
            return
        frame = self.frames[-1]
        if type(frame.value) is list:
            frame.value.append(value)
        elif frame.key is None:
            self.take_key(frame, value, event)
        else:
            if frame.key == _MERGE:
                frame.merges = [value] if frame.merges is None else [*frame.merges, value]
            elif frame.key[:1] != "\x00":
                frame.value[frame.key] = value
            frame.key = None

    def take_key(self, frame: _Frame, value: Any, event: Any) -> None:
        key = key_text(value)
        if key is None:
            self.fault(event, "a key must be text, not null")
            key = f"\x00{self.nodes}"
        elif key in frame.value or (key == _MERGE and frame.merges is not None):
            shown = "<<" if key == _MERGE else key
            self.fault(event, f'the key "{shown}" appears twice in one object', key=shown)
        frame.key = key

    def merge(self, frame: _Frame) -> None:
        """`<<` (YAML 1.1 merge): what the object says itself wins, then the earlier source."""
        for merged in frame.merges or []:
            for source in merged if isinstance(merged, list) else [merged]:
                if not isinstance(source, dict):
                    line = self.offset + frame.line + 1
                    message = "<< takes an object or a list of objects"
                    self.faults.append(Fault(line, self.path(), message, syntax=False))
                    continue
                for key, value in source.items():
                    frame.value.setdefault(key, value)

    def end_document(self) -> None:
        if self.root is not None or self.faults:
            faults = self.numbered_faults()
            number, line = self.reading.next_number(), self.offset + self.root_line + 1
            self.reading.faults.extend(faults)
            document = Document(self.root, line, number, faulty=bool(faults))
            self.reading.documents.append(document)
        self.reset()

    def numbered_faults(self) -> list[Fault]:
        number = self.reading.next_number()
        return [fault._replace(number=number) for fault in self.faults]

    def fault(self, event: Any, message: str, key: str | None = None) -> None:
        line = self.offset + event.start_mark.line + 1
        self.faults.append(Fault(line, self.path(key), message, syntax=False))

    def path(self, key: str | None = None) -> str:
        """Where reading is, as a field path."""
        parts: list[str] = []
        for frame in self.frames:
            if type(frame.value) is list:
                parts.append(f"[{len(frame.value)}]")
            elif frame.key is not None and not frame.key.startswith("\x00"):
                parts.append(f".{frame.key}")
        if key is not None:
            parts.append(f".{key}")
        return "".join(parts).removeprefix(".")


def _syntax_error(error: yaml.YAMLError, document_start: int) -> tuple[int, str]:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        message = str(error.problem or error.context or "not YAML")
        if error.context and error.problem:
            message = f"{error.problem} ({error.context})"
        return (mark.line if mark is not None else document_start), message
    return document_start, " ".join(str(error).split())
