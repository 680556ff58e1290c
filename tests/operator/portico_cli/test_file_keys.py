"""Keys in files: one word changes and not a byte more."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from portico_cli.apikeys import KeyFault, NewKey
from portico_cli.file_keys import FileKeys, NewKeyFile

KEY = NewKey("acme", "default", ("gold",), "", "v" * 20)
HEAD = "apiVersion: portico.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: acme}\n"
BLOCK = "# mine\nspec:\n    # why\n    secretRef: {name: acme}  # here\n"


OFF = "    enabled: false\n    "
REF = "secretRef: {name: a}"
OTHERS = f"kind: Other\n---\n{HEAD.replace('acme', 'else')}spec: {{}}\n---\n"


def crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def test_a_new_file_is_for_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "key.yaml"
    NewKeyFile(str(file)).create(KEY)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (row,) = FileKeys([str(file)]).rows(None)
    assert (row.name, row.plans) == ("acme", ("gold",))
    with pytest.raises(KeyFault, match="exists"):
        NewKeyFile(str(file)).create(KEY)
    with pytest.raises(KeyFault, match="nowhere"):
        NewKeyFile(str(tmp_path / "nowhere" / "key.yaml")).create(KEY)


def test_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    NewKeyFile("-").create(KEY)
    assert "kind: ApiKey" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HEAD + BLOCK, HEAD + BLOCK.replace("    secretRef", f"{OFF}secretRef")),
        (f"{HEAD}{BLOCK}    enabled: true # on\n", f"{HEAD}{BLOCK}    enabled: false # on\n"),
        (f"{HEAD}spec: {{{REF}}}\n", f"{HEAD}spec: {{enabled: false, {REF}}}\n"),
        (f"{HEAD}spec: {{}}\n", f"{HEAD}spec: {{enabled: false}}\n"),
        (f"{OTHERS}{HEAD}spec: {{}}", f"{OTHERS}{HEAD}spec: {{enabled: false}}"),
        (crlf(f"{HEAD}spec: {{}}\n"), crlf(f"{HEAD}spec: {{enabled: false}}\n")),
    ],
    ids=["block", "said", "flow", "empty", "third", "crlf"],
)
def test_one_word_changes(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(before.encode())
    os.chmod(file, 0o640)
    keys = FileKeys([str(tmp_path)])
    keys.enable("default", "acme", False)
    assert file.read_bytes().decode() == after
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [row.enabled for row in keys.rows(None) if row.name == "acme"] == [False]
    keys.enable("default", "acme", True)
    assert "enabled: true" in file.read_bytes().decode()


def test_nothing_is_written_when_nothing_changes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(HEAD + "spec: {}\n")
    before = file.stat()
    FileKeys([str(file)]).enable("default", "acme", True)
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_json_and_lists(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    item = {
        "apiVersion": "portico.dev/v1alpha1",
        "kind": "ApiKey",
        "metadata": {"name": "acme", "namespace": "shop"},
        "spec": {"secretRef": {"name": "a"}},
    }
    file.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": [item]}, indent=2))
    FileKeys([str(file)]).enable("shop", "acme", False)
    assert json.loads(file.read_text())["items"][0]["spec"] == {
        "enabled": False,
        "secretRef": {"name": "a"},
    }


def test_what_cannot_be_found(tmp_path: Path) -> None:
    with pytest.raises(KeyFault, match="no such file"):
        FileKeys([str(tmp_path / "nowhere")])
    (tmp_path / "a.yaml").write_text(HEAD + "spec: {}\n")
    with pytest.raises(KeyFault, match="there is no ApiKey shop/acme"):
        FileKeys([str(tmp_path)]).enable("shop", "acme", False)
    with pytest.raises(KeyFault, match="standard input"):
        FileKeys(["-"]).enable("shop", "acme", False)
    (tmp_path / "b.yaml").write_text("a: [\n")
    with pytest.raises(KeyFault, match=r"b\.yaml"):
        FileKeys([str(tmp_path)]).rows(None)
