"""A Dockerfile as data, and enough of a builder to run its steps without a container engine.

Used by tests of the images. `parse` reads instructions by stage. `Builder` does what an engine
would with COPY, RUN, ENV, ARG and WORKDIR, each stage in a folder of its own: absolute paths of
the image are moved under that folder, in texts too, since nothing can be mounted without root.
Promises: an instruction that it does not know is an error, never passed over.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

KNOWN: Final = frozenset(
    {"ARG", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "RUN", "STOPSIGNAL", "USER", "WORKDIR"}
)


class BuildFailed(Exception):
    """A step failed; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, continuation lines joined."""

    line: int
    name: str
    rest: str

    def words(self) -> list[str]:
        """Of COPY and the like."""
        return self.rest.split()

    def command(self) -> list[str]:
        """Of an ENTRYPOINT in its exec form; [] for the shell form."""
        return list(json.loads(self.rest)) if self.rest.startswith("[") else []


@dataclass(slots=True)
class Stage:
    """From one FROM to the next."""

    name: str
    base: str
    instructions: list[Instruction] = field(default_factory=list)

    def of(self, name: str) -> list[Instruction]:
        """Its instructions of one name."""
        return [one for one in self.instructions if one.name == name]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """Stages in order, and the arguments before the first."""

    arguments: dict[str, str]
    stages: dict[str, Stage]

    def lineage(self, name: str) -> Iterator[Stage]:
        """The stage, what it is based on, and so on up to the base image."""
        while name in self.stages:
            yield self.stages[name]
            name = self.stages[name].base


def instructions(text: str) -> Iterator[Instruction]:
    """As the reference says: comments are whole lines, also between continuation lines."""
    started, joined = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or (joined and not line.strip()):
            continue
        started = started or number
        if line.rstrip().endswith("\\"):
            joined += line.rstrip()[:-1]
            continue
        joined += line
        if joined.strip():
            name, _, rest = joined.strip().partition(" ")
            if name not in KNOWN:
                raise ValueError(f"line {started}: {name}")
            yield Instruction(started, name, rest.strip())
        started, joined = 0, ""
    if joined:
        raise ValueError(f"line {started}: ends in a continuation")


def parse(text: str) -> Dockerfile:
    """The whole file."""
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    for one in instructions(text):
        if one.name == "FROM":
            base, _, name = one.rest.partition(" AS ")
            current = stages[name] = Stage(name, base)
        elif current is None:
            key, _, value = one.rest.partition("=")
            arguments[key] = value
        else:
            current.instructions.append(one)
    return Dockerfile(arguments, stages)


class Context:
    """What `docker build` would be given: the folder, less what .dockerignore names."""

    def __init__(self, folder: Path, extra: Mapping[str, Path] = {}) -> None:
        """`extra` are folders that lie in the context although they are elsewhere."""
        self._folder = folder
        self._extra = extra
        lines = (folder / ".dockerignore").read_text().splitlines()
        self._rules = [line for line in map(str.strip, lines) if line and line[0] != "#"]

    def includes(self, path: str) -> bool:
        """By the last rule that matches it or a folder above it."""
        parts = path.split("/")
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        included = True
        for rule in self._rules:
            pattern = rule.removeprefix("!")
            anywhere = pattern.removeprefix("**/")
            if any(
                fnmatch.fnmatch(one, pattern)
                or (anywhere != pattern and fnmatch.fnmatch(one.rpartition("/")[2], anywhere))
                for one in above
            ):
                included = rule.startswith("!")
        return included

    def matches(self, pattern: str) -> list[tuple[str, Path]]:
        """Sources of a COPY: what is there and included."""
        found = [(path.name, path) for path in self._folder.glob(pattern)]
        found = [one for one in found if one[0] not in self._extra]
        found += [one for one in self._extra.items() if fnmatch.fnmatch(one[0], pattern)]
        return [
            (name, path)
            for name, path in found
            if path in self._extra.values() or self.includes(str(path.relative_to(self._folder)))
        ]

    def copy(self, source: Path, target: Path) -> None:
        """A file, or what is in a folder."""
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            return
        for path in sorted(source.rglob("*")):
            inside = path.relative_to(source)
            outside = source in self._extra.values()
            named = str(inside if outside else path.relative_to(self._folder))
            if path.is_file() and (outside or self.includes(named)):
                (target / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / inside)


class Builder:
    """Runs the steps of one stage, and of those it needs."""

    def __init__(
        self, dockerfile: Dockerfile, context: Context, place: Path, arguments: Mapping[str, str]
    ) -> None:
        self._dockerfile = dockerfile
        self._context = context
        self._place = place
        self._arguments = arguments
        self._roots: dict[str, Path] = {}
        self._environments: dict[str, dict[str, str]] = {}

    def build(self, name: str) -> Path:
        """The root of a stage that is built."""
        if name in self._roots:
            return self._roots[name]
        stage = self._dockerfile.stages[name]
        root = self._place / name
        environment = {"PATH": os.environ["PATH"], "HOME": str(root), "LANG": "C.UTF-8"}
        environment |= {k: v for k, v in os.environ.items() if k.startswith(("PIP_", "SSL_"))}
        if stage.base in self._dockerfile.stages:
            above = self.build(stage.base)
            shutil.copytree(above, root, symlinks=True)
            environment = {
                key: value.replace(str(above), str(root))
                for key, value in self._environments[stage.base].items()
            }
            _move(root, above)
        else:
            root.mkdir(parents=True)
        self._roots[name], self._environments[name] = root, environment
        self._run(stage, root, environment)
        return root

    def run(self, name: str, command: list[str]) -> str:
        """What a command says in a stage that is built."""
        root = self._roots[name]
        return _said(command, root, self._environments[name])

    def _run(self, stage: Stage, root: Path, environment: dict[str, str]) -> None:
        where, arguments = root, dict[str, str]()
        for one in stage.instructions:
            if one.name == "ARG":
                key, _, value = one.rest.partition("=")
                arguments[key] = self._arguments.get(key, value)
            elif one.name == "ENV":
                for key, value in re.findall(r'(\w+)=("[^"]*"|\S+)', one.rest):
                    told = self._moved(value.strip('"'), root)
                    environment[key] = told.replace("${PATH}", environment["PATH"])
            elif one.name == "WORKDIR":
                where = root / one.rest.lstrip("/")
                where.mkdir(parents=True, exist_ok=True)
            elif one.name == "COPY":
                self._copy(one, root, where)
            elif one.name == "RUN":
                script = self._moved(one.rest, root)
                _said(["sh", "-c", script], where, {**environment, **arguments})

    def _copy(self, one: Instruction, root: Path, where: Path) -> None:
        *sources, target = one.words()
        into = root / target.lstrip("/") if target.startswith("/") else where / target
        if sources[0].startswith("--from="):
            built = self.build(sources.pop(0).removeprefix("--from="))
            (source,) = sources
            taken = built / source.lstrip("/")
            shutil.copytree(taken, into, symlinks=True, dirs_exist_ok=True)
            _move(into, built, root)
            return
        found = [match for pattern in sources for match in self._context.matches(pattern)]
        if not found:
            raise BuildFailed(f"line {one.line}: COPY finds nothing")
        for name, path in found:
            whole = path.is_file() and (target.endswith("/") or len(found) > 1)
            self._context.copy(path, into / name if whole else into)

    def _moved(self, text: str, root: Path) -> str:
        top = "opt|wheels|src|dist|requirements"
        return re.sub(rf"(?<![\w./}}])/({top})(?=[/\s\"';:]|$)", rf"{root}/\1", text)


def _said(command: list[str], where: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        command, cwd=where, env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildFailed(f"{command[-1]}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def _move(folder: Path, former: Path, now: Path | None = None) -> None:
    """Virtual environments name their own path in scripts and configuration."""
    root = now or folder
    for path in folder.rglob("*"):
        if path.is_symlink():
            aim = os.readlink(path)
            if aim.startswith(str(former)):
                path.unlink()
                path.symlink_to(aim.replace(str(former), str(root)))
        elif path.is_file() and (path.parent.name == "bin" or path.name == "pyvenv.cfg"):
            content = path.read_bytes()
            if b"\0" not in content and str(former).encode() in content:
                path.write_bytes(content.replace(str(former).encode(), str(root).encode()))
