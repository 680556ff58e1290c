"""`portico.dev.yaml`: where Services are on a developer's machine, and what to start for them.

Called by `dev`, which hands the addresses to the compiler and the commands to `processes`.
The file stands beside the manifests or is named with `--backends`; it is never applied.
Mistakes in it are faults with field path and line, like those in manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from portico_cli.documents import read
from portico_cli.field_lines import FieldLines
from portico_cli.processes import Command
from portico_cli.readings import Fault

FILE_NAME = "portico.dev.yaml"

_SERVICE = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?/[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_FIELDS = ("url", "run", "cwd", "env")
_EXAMPLE = "http://127.0.0.1:9001"


class Backend(NamedTuple):
    """What stands for one Service."""

    service: str
    """`namespace/name`."""
    scheme: str
    host: str
    port: int
    command: Command | None
    """What to run for it; None: it runs already."""


class BackendsFile(NamedTuple):
    """One file, read."""

    backends: dict[str, Backend]
    faults: list[Fault]


def parse(path: Path, text: str) -> BackendsFile:
    """Every entry that is right, and a fault for everything that is not."""
    reading = read(text)
    faults = list(reading.faults)
    found: dict[str, Backend] = {}
    if len(reading.documents) > 1:
        line = reading.documents[1].line
        faults.append(Fault(line, "", "one document is expected", syntax=False))
    for document in reading.documents[:1]:
        checked = _Checked(path.parent)
        found = checked.services(document.value)
        lines = FieldLines(text) if checked.mistakes else None
        for field, message in checked.mistakes:
            line = lines.line(document.line, field) if lines else document.line
            faults.append(Fault(line, field, message, syntax=False))
    return BackendsFile(found, faults)


class _Checked:
    """Checks one document and collects (field path, message)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mistakes: list[tuple[str, str]] = []

    def wrong(self, field: str, message: str) -> None:
        self.mistakes.append((field, message))

    def services(self, document: Any) -> dict[str, Backend]:
        if not isinstance(document, dict):
            self.wrong("", "an object with the field services is expected")
            return {}
        for key in document:
            if key != "services":
                self.wrong(key, "unknown field; this file holds services only")
        services = document.get("services")
        if not isinstance(services, dict):
            self.wrong("services", "an object of namespace/name: {url, run} is expected")
            return {}
        return {backend.service: backend for backend in self.each(services)}

    def each(self, services: dict[str, Any]) -> Iterator[Backend]:
        for name, entry in services.items():
            field = f"services.{name}"
            if not _SERVICE.fullmatch(name):
                self.wrong(field, "a Service is named namespace/name, as in default/pets")
            elif not isinstance(entry, dict):
                self.wrong(field, "an object with url and, optionally, run is expected")
            else:
                backend = self.backend(name, field, entry)
                if backend is not None:
                    yield backend

    def backend(self, name: str, field: str, entry: dict[str, Any]) -> Backend | None:
        for key in entry:
            if key not in _FIELDS:
                self.wrong(f"{field}.{key}", f"unknown field; known are {', '.join(_FIELDS)}")
        address = self.address(f"{field}.url", entry.get("url"))
        arguments = self.arguments(f"{field}.run", entry.get("run"))
        cwd = self.cwd(f"{field}.cwd", entry.get("cwd", "."))
        env = self.env(f"{field}.env", entry.get("env", {}))
        if address is None:
            return None
        scheme, host, port = address
        command = Command(name, arguments, cwd, env, host, port) if arguments else None
        return Backend(name, scheme, host, port, command)

    def address(self, field: str, url: Any) -> tuple[str, str, int] | None:
        if not isinstance(url, str):
            self.wrong(field, f"a URL is required, as in {_EXAMPLE}")
            return None
        try:
            parts = urlsplit(url)
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        except ValueError as error:
            self.wrong(field, f"not a URL: {error}")
            return None
        bare = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
        if parts.scheme not in ("http", "https") or not parts.hostname or not bare:
            self.wrong(field, f"scheme, host and port only, as in {_EXAMPLE}")
            return None
        return parts.scheme, parts.hostname, port

    def arguments(self, field: str, run: Any) -> tuple[str, ...]:
        if run is None:
            return ()
        texts = isinstance(run, list) and all(_is_text(word) for word in run)
        if not texts or not run or not str(run[0]).strip():
            self.wrong(field, "a list of words is expected, as in [python, -m, services.pets]")
            return ()
        return tuple(str(word) for word in run)

    def cwd(self, field: str, cwd: Any) -> Path:
        folder = self.folder / cwd if isinstance(cwd, str) else None
        if folder is None or not folder.is_dir():
            self.wrong(field, "a folder is expected; relative ones start at this file's folder")
            return self.folder
        return folder

    def env(self, field: str, env: Any) -> tuple[tuple[str, str], ...]:
        if not isinstance(env, dict):
            self.wrong(field, "an object of NAME: value is expected")
            return ()
        for name, value in env.items():
            if not _is_text(value) or not name or "=" in name or "\0" in name:
                self.wrong(f"{field}.{name}", "a text is expected")
                return ()
        return tuple((name, str(value)) for name, value in env.items())


def _is_text(value: Any) -> bool:
    """Text, or a number that stands for itself (`--port, 9001`)."""
    if isinstance(value, str):
        return "\0" not in value
    return isinstance(value, int) and not isinstance(value, bool)
