"""API keys in files: listed from manifests, switched in place, made as new manifests.

Used by `keys`. Promises: switching a key changes one word of one document and leaves every other
byte, comments and order as they were; a file with a value is readable by its owner alone; an
existing file is never overwritten.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from portico_cli.apikeys import KeyFault, KeyRow, NewKey, row_of
from portico_cli.files import STDIN, Files, missing

_STDOUT = "-"


class NewKeyFile:
    """Makes a key as a file; implements what `create` needs of KeyStore."""

    def __init__(self, output: str) -> None:
        self._output = output

    def create(self, key: NewKey) -> None:
        """Writes the Secret and the ApiKey, to a new file or to standard output."""
        text = yaml.safe_dump_all([key.secret(), key.api_key()], sort_keys=False)
        if self._output == _STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        try:
            handle = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            message = f"{self._output} exists; name a new file (keys are never overwritten)"
            raise KeyFault(message) from error
        except OSError as error:
            raise KeyFault(f"{self._output}: {error.strerror or error}") from error
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)

    def rows(self, namespace: str | None) -> list[KeyRow]:
        """Nothing is listed from what is yet to be written."""
        return []

    def enable(self, namespace: str, name: str, enabled: bool) -> None:
        """Nothing is switched in what is yet to be written."""
        raise KeyFault("name the manifests with -f")


class FileKeys:
    """Implements KeyStore over manifests."""

    def __init__(self, paths: Sequence[str]) -> None:
        for path in missing(list(paths)):
            raise KeyFault(f"{path}: no such file or folder")
        self._paths = list(paths)

    def create(self, key: NewKey) -> None:
        """Where in whose manifests would be a guess."""
        raise KeyFault("say with -o where to write the new key")

    def rows(self, namespace: str | None) -> list[KeyRow]:
        """Every ApiKey in the manifests."""
        loaded = Files().load(self._paths)
        if loaded.problems:
            raise KeyFault(str(loaded.problems[0]))
        rows = [row_of(raw) for raw in _objects(d.raw for d in loaded.documents)]
        return [row for row in rows if namespace is None or row.namespace == namespace]

    def enable(self, namespace: str, name: str, enabled: bool) -> None:
        """spec.enabled of one document, and not a byte more."""
        if STDIN in self._paths:
            raise KeyFault("standard input cannot be edited; name the file")
        loaded = Files().load(self._paths)
        for document in loaded.documents:
            for raw in _objects([document.raw]):
                row = row_of(raw)
                if (row.namespace, row.name) == (namespace, name):
                    if row.enabled is not enabled:
                        _edit(Path(document.file), namespace, name, enabled)
                    return
        raise KeyFault(f"there is no ApiKey {namespace}/{name} in {', '.join(self._paths)}")


def _objects(raws: Any) -> Iterator[dict[str, Any]]:
    for raw in raws:
        if not isinstance(raw, dict):
            continue
        if raw.get("kind") == "List":
            yield from _objects(raw.get("items") or ())
        elif raw.get("kind") == "ApiKey":
            yield raw


class _Change(NamedTuple):
    start: int
    end: int
    text: str


def _edit(file: Path, namespace: str, name: str, enabled: bool) -> None:
    try:
        text = file.read_bytes().decode("utf-8")
        change = _change(text, namespace, name, "true" if enabled else "false")
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KeyFault(f"{file}: {error}") from error
    if change is None:
        raise KeyFault(f"{file}: ApiKey {namespace}/{name} has no spec that can be edited")
    _replace(file, text[: change.start] + change.text + text[change.end :])


def _change(text: str, namespace: str, name: str, word: str) -> _Change | None:
    for document in yaml.compose_all(text, Loader=yaml.SafeLoader):
        for node in _nodes(document):
            spec = _child(node, "spec")
            if _is(node, namespace, name) and isinstance(spec, yaml.MappingNode):
                return _in_spec(text, spec, word)
    return None


def _in_spec(text: str, spec: yaml.MappingNode, word: str) -> _Change:
    found = _child(spec, "enabled")
    if found is not None:
        return _Change(found.start_mark.index, found.end_mark.index, word)
    start = spec.start_mark.index
    if spec.flow_style:
        quoted = '"enabled"' if text[start + 1 :].lstrip()[:1] == '"' else "enabled"
        comma = ", " if spec.value else ""
        return _Change(start + 1, start + 1, f"{quoted}: {word}{comma}")
    indent = " " * spec.start_mark.column
    return _Change(start, start, f"enabled: {word}\n{indent}")


def _nodes(node: Any) -> Iterator[yaml.MappingNode]:
    if not isinstance(node, yaml.MappingNode):
        return
    yield node
    items = _child(node, "items")
    if isinstance(items, yaml.SequenceNode):
        for item in items.value:
            yield from _nodes(item)


def _is(node: yaml.MappingNode, namespace: str, name: str) -> bool:
    metadata = _child(node, "metadata")
    own = _text(metadata, "namespace") or "default"
    return _text(node, "kind") == "ApiKey" and (own, _text(metadata, "name")) == (namespace, name)


def _text(node: Any, key: str) -> str:
    found = _child(node, key)
    return str(found.value) if isinstance(found, yaml.ScalarNode) else ""


def _child(node: Any, key: str) -> Any:
    for name, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(name, yaml.ScalarNode) and name.value == key:
            return value
    return None


def _replace(file: Path, text: str) -> None:
    """Whole or not at all, with the file's own permissions."""
    target = file.resolve()
    try:
        mode = target.stat().st_mode & 0o7777
        handle, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
        os.chmod(beside, mode)
        os.replace(beside, target)
    except OSError as error:
        raise KeyFault(f"{file}: {error.strerror or error}") from error
