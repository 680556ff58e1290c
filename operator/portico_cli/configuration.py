"""From paths to a compiled configuration and everything that is wrong with it.

Called by every command, so that `validate`, `compile`, `explain` and `dev` see the same
files, Services and Problems. Promises: an object's mistake is a Problem and the rest still
compiles; a text that cannot be read leaves nothing compiled that may be served.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from portico_cli import release
from portico_cli.backends import Backend, parse
from portico_cli.files import Files, backends_beside, find
from portico_compiler import (
    Compiled,
    Memo,
    ObjectRef,
    Problem,
    Reason,
    Settings,
    Source,
    World,
)
from portico_compiler import (
    compile as compile_world,
)
from portico_compiler.problems import Severity

API_KINDS = frozenset(("RestApi", "HttpApi", "WebSocketApi"))


class Configuration(NamedTuple):
    """What paths say, compiled."""

    compiled: Compiled
    """From everything that could be read."""
    problems: list[Problem]
    """Of files, of documents and of objects, warnings included."""
    unreadable: list[Problem]
    """Those of texts and files that could not be read: with one, `compiled` must not be served."""
    world: World
    """The objects that the files hold."""
    backends: dict[str, Backend]
    """What portico.dev.yaml says, by `namespace/service`."""

    @property
    def objects(self) -> int:
        """How many there are."""
        return len(self.world.objects)

    @property
    def apis(self) -> list[ObjectRef]:
        """The APIs among them."""
        return [o.ref for o in self.world.objects if o.ref.kind in API_KINDS]

    @property
    def errors(self) -> list[Problem]:
        """Problems without the warnings: what an exit code depends on."""
        return [problem for problem in self.problems if problem.severity is Severity.ERROR]


class Loader:
    """Loads the same paths again and again; keeps what an edit did not touch."""

    def __init__(self, paths: Sequence[str], backends: str | None = None) -> None:
        self.files = Files()
        self._paths = list(paths)
        self._backends_file = backends
        self._memo = Memo()

    def load(self, settings: Settings, *, secrets: bool = True) -> Configuration:
        """Read and compile. `secrets`: with what follows from them; API keys are digests always."""
        backends, faults = self.backends()
        settings = msgspec.structs.replace(
            settings,
            backends={name: _url(backend) for name, backend in backends.items()},
            build=release.version(),
            # Without a day nothing is derived from a Secret; of API keys only digests travel.
            today=datetime.now(UTC).strftime("%Y%m%d") if secrets else "",
        )
        loaded = self.files.load(self._paths)
        world, intake = World.from_documents(loaded.documents, settings)
        compiled = compile_world(world, self._memo)
        unreadable = [*faults, *loaded.problems]
        problems = [*unreadable, *intake, *compiled.report.problems]
        problems.sort(key=_reading_order)
        return Configuration(compiled, problems, unreadable, world, backends)

    def backends_files_named(self) -> list[str]:
        """Those that no walk through the paths would find."""
        return [str(file) for file in self.backends_files()]

    def backends_files(self) -> list[Path]:
        """The files that say where Services are."""
        if self._backends_file is not None:
            return [Path(self._backends_file)]
        return backends_beside(self._paths, find(self._paths))

    def backends(self) -> tuple[dict[str, Backend], list[Problem]]:
        """What those files say. Of two entries for one Service the first counts."""
        found: dict[str, Backend] = {}
        problems: list[Problem] = []
        for file in self.backends_files():
            try:
                read = parse(file, file.read_text(encoding="utf-8-sig"))
            except OSError as error:
                problems.append(_problem(file, None, "", error.strerror or str(error)))
                continue
            except UnicodeDecodeError:
                problems.append(_problem(file, None, "", "the file is not UTF-8 text"))
                continue
            problems += [_problem(file, f.line, f.path, f.message) for f in read.faults]
            for name, backend in read.backends.items():
                if name in found:
                    message = f"{name} is already in another file"
                    problems.append(_problem(file, None, f"services.{name}", message))
                found.setdefault(name, backend)
        return found, problems


def _reading_order(problem: Problem) -> tuple[str, int]:
    """By file and document; those of one document keep the order in which they were found."""
    source = problem.source
    return (source.file, source.index) if source else ("", 0)


def _problem(file: Path, line: int | None, field: str, message: str) -> Problem:
    source = Source(str(file), 0, line)
    return Problem(ObjectRef("", "", ""), field, Reason.MALFORMED_DOCUMENT, message, source=source)


def _url(backend: Backend) -> str:
    host = f"[{backend.host}]" if ":" in backend.host else backend.host
    return f"{backend.scheme}://{host}:{backend.port}"
