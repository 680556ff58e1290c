"""Manifests from files: which ones, what they hold, and what is wrong with them as files.

Called by every command. A path may be a file, a folder (searched to its bottom, in the order
of names) or `-` for standard input. Promises: each file is read once however many ways lead
to it, and parsed again only when it has changed; whatever cannot be read is a Problem with
file and line. What objects say is the compiler's business (`World.from_documents`).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, NamedTuple

from portico_cli.backends import FILE_NAME as BACKENDS_FILE
from portico_cli.documents import read
from portico_cli.field_lines import FieldLines
from portico_cli.readings import Fault, Reading
from portico_compiler.problems import ObjectRef, Problem, Reason, Source
from portico_compiler.world import SourceDocument

STDIN: Final = "-"
SUFFIXES: Final = (".yaml", ".yml", ".json")
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of one file; far above any manifest, far below what would fill memory."""

Stamp = tuple[int, int, int]
"""Modification time, size, inode: what tells that a file is another one."""


class Found(NamedTuple):
    """What paths lead to."""

    files: dict[str, Stamp | None]
    """Manifest files in order, as the user would name them; None: standard input."""
    backends: list[str]
    """Every `portico.dev.yaml` on the way."""
    problems: list[Problem]


class Loaded(NamedTuple):
    """The documents of a set of paths."""

    documents: list[SourceDocument]
    problems: list[Problem]
    """What is wrong with files and documents as such. While there is one, nobody knows what
    the files are meant to say."""


class Files:
    """Reads paths again and again; keeps what has not changed."""

    def __init__(self, stdin: IO[bytes] | None = None) -> None:
        self._stdin = stdin
        self._read_once: dict[str, str] = {}
        """Standard input and pipes: there is no second time."""
        self._readings: dict[str, tuple[Stamp, Reading]] = {}
        self._lines: dict[str, FieldLines] = {}
        """Of files with problems, since the last load."""

    def load(self, paths: Sequence[str]) -> Loaded:
        """Every document, in the order that decides age."""
        found = find(paths)
        self._lines.clear()
        documents: list[SourceDocument] = []
        problems = list(found.problems)
        readings: dict[str, tuple[Stamp, Reading]] = {}
        for file, stamp in found.files.items():
            try:
                reading = self._reading(file, stamp)
            except OSError as error:
                problems.append(_problem(file, error.strerror or str(error)))
                continue
            if stamp is not None:
                readings[file] = (stamp, reading)
            documents += [
                SourceDocument(document.value, _shown(file), document.number, document.line)
                for document in reading.documents
            ]
            problems += [_fault_problem(file, reading, fault) for fault in reading.faults]
        self._readings = readings
        return Loaded(documents, problems)

    def line_of(self, problem: Problem) -> int | None:
        """Where a problem's field stands: its document is composed again for that."""
        source = problem.source
        if source is None or source.line is None:
            return None
        if problem.reason is Reason.MALFORMED_DOCUMENT or not problem.field:
            return source.line
        lines = self._lines.get(source.file)
        if lines is None:
            try:
                text = self._text(STDIN if source.file == _shown(STDIN) else source.file)
            except (OSError, ValueError):
                return source.line
            lines = self._lines[source.file] = FieldLines(text)
        return lines.line(source.line, problem.field)

    def _reading(self, file: str, stamp: Stamp | None) -> Reading:
        known = self._readings.get(file)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            text = self._text(file)
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            return Reading([], [Fault(line, "", "the file is not UTF-8 text", syntax=True)])
        except _TooLarge:
            message = f"the file is larger than {MAX_BYTES // 1024**2} MiB"
            return Reading([], [Fault(1, "", message, syntax=True)])
        return read(text, json_only=file.endswith(".json"))

    def _text(self, file: str) -> str:
        known = self._read_once.get(file)
        if known is not None:
            return known
        if file == STDIN:
            text = self._read_once[file] = _decoded(self._stdin or sys.stdin.buffer)
            return text
        with open(file, "rb") as opened:
            text = _decoded(opened)
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                self._read_once[file] = text
        return text


class _TooLarge(ValueError):
    """More than MAX_BYTES."""


def _decoded(stream: IO[bytes]) -> str:
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _TooLarge
    return content.decode("utf-8-sig")


# --- which files --------------------------------------------------------------------------


def missing(paths: Iterable[str]) -> list[str]:
    """Paths on the command line that lead nowhere."""
    return [path for path in paths if path != STDIN and not os.path.lexists(path)]


def find(paths: Sequence[str]) -> Found:
    """The files that paths lead to, each once."""
    found = Found({}, [], [])
    seen: set[str] = set()
    for path in paths:
        if path == STDIN:
            found.files.setdefault(STDIN, None)
            continue
        try:
            status = os.stat(path)
        except OSError as error:
            found.problems.append(_problem(path, error.strerror or str(error)))
            continue
        if stat.S_ISDIR(status.st_mode):
            _Walk(found, seen).walk(path)
        elif os.path.basename(path) != BACKENDS_FILE:
            _take(found, seen, path, status)
            beside = os.path.join(os.path.dirname(path), BACKENDS_FILE)
            if os.path.isfile(beside) and beside not in found.backends:
                found.backends.append(beside)
    return found


def _take(found: Found, seen: set[str], path: str, status: os.stat_result) -> None:
    real = os.path.realpath(path)
    if real not in seen:
        seen.add(real)
        found.files[path] = (status.st_mtime_ns, status.st_size, status.st_ino)


class _Folder(NamedTuple):
    """A folder being searched, and how it was reached."""

    path: str
    identity: tuple[int, int]
    parent: _Folder | None


class _Walk:
    """Searches one folder without recursion: paths may be deeper than Python's stack."""

    def __init__(self, found: Found, seen: set[str]) -> None:
        self.found = found
        self.seen = seen
        self.entered: set[tuple[int, int]] = set()

    def walk(self, root: str) -> None:
        pending: list[tuple[str, _Folder | None]] = [(root, None)]
        while pending:
            path, parent = pending.pop()
            try:
                status = os.stat(path)
                if stat.S_ISDIR(status.st_mode):
                    folder = self.enter(path, status, parent)
                    if folder is not None:
                        names = sorted(os.listdir(path), reverse=True)
                        pending += [(os.path.join(path, name), folder) for name in names]
                else:
                    self.take_file(path, status)
            except OSError as error:
                if parent is None or _is_wanted(path):
                    self.found.problems.append(_problem(path, error.strerror or str(error)))

    def enter(self, path: str, status: os.stat_result, parent: _Folder | None) -> _Folder | None:
        """The folder, unless it leads back to one it lies in, or was searched before."""
        if parent is not None and os.path.basename(path).startswith("."):
            return None
        identity = (status.st_dev, status.st_ino)
        above = parent
        while above is not None:
            if above.identity == identity:
                message = f"a directory loop: it leads back to {above.path}"
                self.found.problems.append(_problem(path, message))
                return None
            above = above.parent
        if identity in self.entered:
            return None
        self.entered.add(identity)
        return _Folder(path, identity, parent)

    def take_file(self, path: str, status: os.stat_result) -> None:
        if os.path.basename(path) == BACKENDS_FILE:
            self.found.backends.append(path)
        elif _is_manifest(path) and stat.S_ISREG(status.st_mode):
            # Pipes and devices would be waited for; whoever means one names it.
            _take(self.found, self.seen, path, status)


def _is_manifest(path: str) -> bool:
    name = os.path.basename(path)
    # Hidden files are editors' copies and version control's.
    return not name.startswith(".") and name.endswith(SUFFIXES)


def _is_wanted(path: str) -> bool:
    """Whether it matters that this cannot be read: a link to nowhere might be a folder."""
    return _is_manifest(path) or (
        not os.path.basename(path).startswith(".") and os.path.islink(path)
    )


# --- problems -----------------------------------------------------------------------------


def _shown(file: str) -> str:
    return "stdin" if file == STDIN else file


def _problem(file: str, message: str) -> Problem:
    ref = ObjectRef("", "", "")
    return Problem(ref, "", Reason.MALFORMED_DOCUMENT, message, source=Source(_shown(file)))


def _fault_problem(file: str, reading: Reading, fault: Fault) -> Problem:
    source = Source(_shown(file), fault.number, fault.line)
    ref = next(_refs(reading, fault.number), ObjectRef("", "", ""))
    return Problem(ref, fault.path, Reason.MALFORMED_DOCUMENT, fault.message, source=source)


def _refs(reading: Reading, number: int) -> Iterator[ObjectRef]:
    """Whose document it is, as far as a faulty one says."""
    for document in reading.documents:
        if document.number == number and isinstance(document.value, dict):
            kind, metadata = document.value.get("kind"), document.value.get("metadata")
            names = metadata if isinstance(metadata, dict) else {}
            name, namespace = names.get("name"), names.get("namespace", "default")
            if isinstance(kind, str) and isinstance(name, str) and isinstance(namespace, str):
                yield ObjectRef(kind, namespace, name)


def backends_beside(paths: Sequence[str], found: Found) -> list[Path]:
    """The `portico.dev.yaml` files that belong to paths: within them, or else beside a folder."""
    if found.backends:
        return [Path(file) for file in found.backends]
    beside = (
        Path(os.path.abspath(path)).parent / BACKENDS_FILE for path in paths if os.path.isdir(path)
    )
    return sorted({file for file in beside if file.is_file()})
