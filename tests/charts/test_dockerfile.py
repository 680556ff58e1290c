"""The images: what the Dockerfile says, and its steps run without a container engine.

tests/e2e builds them for real. Here the packages are stand-ins with nothing in them, so that
nothing is fetched; the project's own wheel is the real one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from dockerfile import Builder, BuildFailed, Context, Stage, instructions, parse
from helm import CHART, ROOT

FILE = parse((ROOT / "Dockerfile").read_text())
CONTEXT = Context(ROOT)
TARGETS = ("operator", "dataplane")
LOCKS = ROOT / "requirements"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SECTION = {"operator": VALUES["operator"], "dataplane": VALUES["dataPlane"]}


def pinned(lock: str) -> dict[str, str]:
    found = re.findall(r"^([a-z0-9.-]+)==(\S+)", (LOCKS / lock).read_text(), re.MULTILINE)
    return dict(found)


# --- what it says ---------------------------------------------------------------------------


def test_the_base_can_be_chosen_and_is_pinned() -> None:
    assert FILE.arguments.keys() == {"BASE_IMAGE"}
    assert re.search(r":\d+\.\d+\.\d+-slim-\w+$", FILE.arguments["BASE_IMAGE"])
    for stage in FILE.stages.values():
        assert stage.base == "${BASE_IMAGE}" or stage.base in FILE.stages


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_ends_as_a_user_without_rights(target: str) -> None:
    stage = FILE.stages[target]
    (user,) = stage.of("USER")
    uid = VALUES["operator"]["podSecurityContext"]["runAsUser"]
    assert user.rest == f"{uid}:{uid}"
    after = stage.instructions[stage.instructions.index(user) :]
    assert not [one for one in after if one.name in {"RUN", "COPY"}]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_starts_its_program_as_process_one(target: str) -> None:
    """The exec form: a shell would keep SIGTERM to itself."""
    (entry,) = FILE.stages[target].of("ENTRYPOINT")
    python, flag, module = entry.command()
    assert (python, flag, module) == ("python", "-m", f"portico_{target}")
    folder = {"operator": "operator", "dataplane": "dataplane"}[target]
    assert (ROOT / folder / module / "__main__.py").exists()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_what_it_runs_and_not_what_built_it(target: str) -> None:
    stages = list(FILE.lineage(target))
    copies = [one for stage in stages for one in stage.of("COPY")]
    assert [one.words() for one in copies] == [
        [f"--from={target}-packages", "/opt/portico", "/opt/portico"]
    ]
    for stage in stages:
        for one in stage.of("RUN"):
            assert not re.search(r"\b(pip|apt-get|gcc|curl|wget)\b", one.rest)


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_never_writes_to_its_root(target: str) -> None:
    told = " ".join(one.rest for stage in FILE.lineage(target) for one in stage.of("ENV"))
    assert "PYTHONDONTWRITEBYTECODE=1" in told
    assert "PYTHONUNBUFFERED=1" in told


LOOPBACK = {"usage"}
"""Ports that nobody reaches from outside the pod."""


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_opens_the_ports_of_the_chart(target: str) -> None:
    (exposed,) = FILE.stages[target].of("EXPOSE")
    ports = {name: port for name, port in SECTION[target]["ports"].items() if name not in LOOPBACK}
    assert [int(port) for port in exposed.words()] == list(ports.values())


def test_what_is_fetched_is_checked_against_its_hash() -> None:
    for stage in FILE.stages.values():
        for one in stage.of("RUN"):
            for lock in re.findall(r"-r (?:/)?requirements/", one.rest):
                assert "--require-hashes" in one.rest, lock
            for index in re.findall(r"portico\[\w+\]", one.rest):
                assert "--no-index" in one.rest, index


def test_steps_are_shell_that_stops_at_the_first_failure() -> None:
    for stage in FILE.stages.values():
        for one in stage.of("RUN"):
            done = subprocess.run(["sh", "-n", "-c", one.rest], capture_output=True, text=True)
            assert done.returncode == 0, f"line {one.line}: {done.stderr}"
            assert one.rest.startswith("set -eu") or ";" not in one.rest, f"line {one.line}"


def test_no_step_needs_buildkit() -> None:
    """Whoever builds with podman, kaniko or an old engine can."""
    text = (ROOT / "Dockerfile").read_text()
    assert "# syntax" not in text
    assert "--mount" not in text
    assert "<<" not in text


def test_what_is_copied_is_in_the_context() -> None:
    for stage in FILE.stages.values():
        for one in stage.of("COPY"):
            *sources, _ = one.words()
            if sources[0].startswith("--from="):
                assert sources[0].removeprefix("--from=") in FILE.stages
                continue
            for source in sources:
                if "*" not in source:
                    assert CONTEXT.matches(source), f"line {one.line}: {source}"


@pytest.mark.parametrize(
    ("path", "included"),
    [
        ("pyproject.toml", True),
        ("dataplane/portico_ir/model.py", True),
        ("wheels/anything.whl", True),
        (".git/config", False),
        (".venv/bin/python", False),
        ("tests/conftest.py", False),
        ("requirements/dev.txt", False),
        ("dataplane/portico_ir/__pycache__/model.cpython-311.pyc", False),
    ],
)
def test_the_context_is_what_is_needed(path: str, included: bool) -> None:
    assert CONTEXT.includes(path) is included


def test_a_wrong_instruction_is_seen() -> None:
    with pytest.raises(ValueError, match="ADD"):
        list(instructions("FROM x AS y\nADD a b\n"))


# --- locks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", ["operator.txt", "dataplane.txt", "build.txt"])
def test_images_have_the_versions_that_are_tested(lock: str) -> None:
    """After a change of dependencies: make lock."""
    tested = pinned("dev.txt")
    assert pinned(lock)
    assert {name: tested.get(name) for name in pinned(lock)} == pinned(lock)
    for block in re.split(r"\n(?=[a-z])", (LOCKS / lock).read_text().strip()):
        assert "--hash=sha256:" in block


@pytest.mark.parametrize("target", TARGETS)
def test_locks_hold_what_the_project_asks_for(target: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"][target]]
    assert {re.split(r"[<>=!~; ]", one)[0] for one in asked} <= pinned(f"{target}.txt").keys()


# --- its steps ------------------------------------------------------------------------------


def stand_in(folder: Path, name: str, version: str) -> None:
    """A wheel with nothing in it."""
    folder.mkdir(exist_ok=True)
    safe = name.replace("-", "_").replace(".", "_")
    info = f"{safe}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{safe}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheels` makes, with stand-ins for what others wrote."""
    folder = tmp_path_factory.mktemp("wheels")
    for lock in ("operator.txt", "dataplane.txt"):
        for name, version in pinned(lock).items():
            stand_in(folder, name, version)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_wheel_holds_every_package(wheels: Path) -> None:
    (wheel,) = wheels.glob("portico-*.whl")
    held = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    packages = {
        path.name for root in ("dataplane", "operator") for path in (ROOT / root).glob("portico_*")
    }
    assert packages <= held


def test_packages_come_from_the_wheels_alone(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a folder that lacks one fails the build: it never reaches out for it."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    for path in wheels.glob("*.whl"):
        if not path.name.startswith("uvloop"):
            (fewer / path.name).symlink_to(path)
    builder = Builder(FILE, Context(ROOT, {"wheels": fewer}), tmp_path / "build", {})
    root = builder.build("operator-packages")
    (site,) = (root / "opt/portico/lib").glob("python3*/site-packages")
    assert (site / "portico_operator" / "__main__.py").exists()
    installed = {path.name.partition("-")[0] for path in site.glob("*.dist-info")}
    assert {"msgspec", "kopf"} <= installed
    assert "pip" not in installed
    with pytest.raises(BuildFailed, match="uvloop"):
        builder.build("dataplane-packages")


def test_stages_are_all_used() -> None:
    def needs(stage: Stage) -> set[str]:
        found = {stage.name} | (
            needs(FILE.stages[stage.base]) if stage.base in FILE.stages else set()
        )
        for one in stage.of("COPY"):
            if one.rest.startswith("--from="):
                found |= needs(FILE.stages[one.words()[0].removeprefix("--from=")])
        return found

    assert set().union(*(needs(FILE.stages[target]) for target in TARGETS)) == FILE.stages.keys()
