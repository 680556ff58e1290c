"""A snapshot is written whole, for its owner alone; or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from portico_cli import compile as compiling
from portico_ir import codec, invariants
from portico_ir.model import GatewayUnit

HEAD = "apiVersion: portico.dev/v1alpha1\nkind: "
API = HEAD + "RestApi\nmetadata: {name: shop}\n"
ROUTE = (
    HEAD
    + "Route\nmetadata: {name: r}\nspec:\n  apiRef: {name: shop}\n  routeKey: GET /r\n"
    + "  integration: {url: 'http://h', timeout: 1s}\n"
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "in" / "a.yaml"
    file.parent.mkdir()
    file.write_text(API + "---\n" + ROUTE)
    return file


def run(manifest: Path, output: Path | str, base_domain: str = "localhost") -> int:
    return compiling.run([str(manifest)], None, str(output), base_domain, secrets=False)


def test_what_is_written_can_be_served(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "snapshot.json"
    assert run(manifest, output, "api.example") == 0
    snapshot = codec.decode_snapshot(output.read_bytes())
    units = {name: codec.decode_unit(raw) for name, raw in snapshot.units.items()}
    assert {n: codec.digest(raw) for n, raw in snapshot.units.items()} == snapshot.manifest.units
    assert invariants.check(units) == []
    gateway = units["gateway"]
    assert isinstance(gateway, GatewayUnit)
    assert gateway.egress_open
    assert (gateway.sole_api, gateway.local_paths) == ("", False)
    assert b"shop.default.api.example" in output.read_bytes()


def test_only_the_owner_may_read_it(manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "snapshot.json"
    output.write_text("older")
    output.chmod(0o644)
    before = os.umask(0)
    try:
        assert run(manifest, output) == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    # And nothing else is left there.
    assert sorted(os.listdir(tmp_path)) == ["in", "snapshot.json"]


def test_a_broken_route_is_written_and_reported(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(API + "---\n" + ROUTE.replace("1s", "soon"))
    output = tmp_path / "snapshot.json"
    assert run(manifest, output) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "spec.integration.timeout: InvalidValue" in captured.err
    assert b'"broken"' in output.read_bytes()


@pytest.mark.parametrize("text", ["kind: [", "", "a: 1\na: 2\n"])
def test_nothing_is_written_when_nobody_knows_what(
    manifest: Path, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest.write_text(text)
    output = tmp_path / "snapshot.json"
    output.write_text("older")
    assert run(manifest, output) == 1
    assert "nothing is written" in capsys.readouterr().err
    assert output.read_text() == "older"


def test_a_place_that_cannot_be_written(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(manifest, tmp_path / "no" / "folder.json") == 1
    assert "No such file or directory" in capsys.readouterr().err
    assert run(manifest, tmp_path) == 1
    assert "Is a directory" in capsys.readouterr().err


def test_to_standard_output(manifest: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(manifest, "-") == 0
    codec.decode_snapshot(capfdbinary.readouterr().out)


def test_a_pipe_is_written_into(manifest: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run(manifest, pipe) == 0
        codec.decode_snapshot(os.read(reader, 1 << 20))
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
