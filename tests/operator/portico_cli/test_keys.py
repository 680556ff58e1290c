"""`portico keys` on files: what is printed where, and exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from portico_cli.main import main


def test_from_made_to_switched_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "key.yaml")
    assert main(["keys", "create", "acme", "--plan", "gold", "-o", file]) == 0
    said = capsys.readouterr()
    value = said.out.strip()
    assert value in Path(file).read_text()
    assert value not in said.err
    assert main(["keys", "disable", "acme", "-f", file]) == 0
    assert main(["keys", "list", "-f", file, "-o", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["enabled"], row["plans"]) == ("acme", False, ["gold"])
    assert main(["keys", "list", "-f", file]) == 0
    table = capsys.readouterr().out
    assert "acme" in table
    assert value not in table


def test_a_value_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = str(tmp_path / "key.yaml")
    monkeypatch.setattr("sys.stdin", io.StringIO("needatleast20characters\n"))
    assert main(["keys", "create", "acme", "--value-stdin", "-o", file]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "in no usage plan" in said.err
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert main(["keys", "create", "b", "--value-stdin", "-o", str(tmp_path / "b.yaml")]) == 1
    assert "20 to 128 characters" in capsys.readouterr().err


def test_only_manifests_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "acme", "-o", "-"]) == 0
    assert capsys.readouterr().out.startswith("apiVersion: v1\nkind: Secret\n")


def test_faults_are_one_line_and_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["keys", "disable", "acme", "-f", str(tmp_path)]) == 1
    assert "there is no ApiKey default/acme" in capsys.readouterr().err
    nowhere = str(tmp_path / "no-kubeconfig")
    assert main(["keys", "list", "--kubeconfig", nowhere]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("no cluster: ")
    assert said.err.count("\n") == 1


def test_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["keys"], ["keys", "create"], ["keys", "create", "UPPER"], ["keys", "nope"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
