"""`portico digest` prints the digest of what `portico deploy` would write, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deployments import captured, shop
from manifests import manifest, route
from portico_cli.main import main


def test_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.dump_all(shop()))
    assert main(["digest", "-f", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == f"sha256:{captured(shop()).digest}\n"
    assert err == ""


def test_what_means_the_same_has_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Folders, Lists, JSON, defaults that are written out, another order."""
    raws = shop(route("a", "GET /a"), route("b", "GET /b"))
    (tmp_path / "one").mkdir()
    for number, raw in enumerate(raws):
        (tmp_path / "one" / f"{number}.yaml").write_text(yaml.dump(raw))
    spelled = [
        raws[2],
        {**raws[1], "spec": {**raws[1]["spec"], "authorizationType": "NONE", "throttle": None}},
        {**raws[0], "spec": {"defaultStage": "Auto"}},
    ]
    listed = {"apiVersion": "v1", "kind": "List", "items": spelled}
    (tmp_path / "two.yaml").write_text(yaml.dump(listed))
    digests = set()
    for path in ("one", "two.yaml"):
        assert main(["digest", "-f", str(tmp_path / path)]) == 0
        digests.add(capsys.readouterr().out)
    assert len(digests) == 1


def test_nothing_to_deploy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(yaml.dump(manifest("RestApi", "shop")))
    assert main(["digest", "-f", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "has no Routes" in err


def test_wrong_usage(tmp_path: Path) -> None:
    for arguments in (["digest"], ["digest", "-f", str(tmp_path / "gone")]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
