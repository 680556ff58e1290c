"""`portico deploy`: manifests that hold a state, and what the other commands make of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments import captured, shop, stage, target
from manifests import manifest, route
from portico_cli.main import main
from portico_compiler.revisions import packing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    write(made, *shop(route("list", "GET /pets", **target(1))))
    return made


def write(folder: Path, *documents: dict[str, Any]) -> None:
    (folder / "shop.yaml").write_text(yaml.dump_all(documents))


def deploy(folder: Path, name: str = "v1", *more: str) -> list[dict[str, Any]]:
    output = folder / f"{name}.yaml"
    assert main(["deploy", name, "-f", str(folder), "-o", str(output), *more]) == 0
    return list(yaml.safe_load_all(output.read_text()))


def test_what_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    revision, deployment = deploy(folder)
    state = captured(shop(route("list", "GET /pets", **target(1))))
    name = revision["metadata"]["name"]
    assert revision["kind"] == "ControllerRevision"
    assert revision["metadata"]["labels"] == {packing.LABEL: name}
    assert revision["data"]["digest"] == state.digest
    assert "ownerReferences" not in revision["metadata"]
    assert deployment["metadata"] == {"name": "v1", "namespace": "default"}
    assert deployment["spec"] == {
        "apiRef": {"name": "shop"},
        "expectedDigest": f"sha256:{state.digest}",
        "revisionRef": {"name": name},
    }
    said = capsys.readouterr().err
    assert said.startswith(f"v1: 1 Route of RestApi default/shop, sha256:{state.digest}, in ")


def test_to_standard_output_and_of_one_kind(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, *shop(), manifest("HttpApi", "web"), route("w", "GET /w", "web", "HttpApi"))
    arguments = ["deploy", "v1", "-f", str(folder), "--api", "web"]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    documents = list(yaml.safe_load_all(first))
    assert documents[-1]["spec"]["apiRef"] == {"name": "web", "kind": "HttpApi"}
    # The same state twice is the same text.
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


def test_a_namespace_only_where_the_api_names_one(folder: Path) -> None:
    bare = [{**d, "metadata": {"name": d["metadata"]["name"]}} for d in shop()]
    write(folder, *bare)
    assert all("namespace" not in document["metadata"] for document in deploy(folder))


def test_a_stage_of_it_works_with_every_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deploy(folder)
    write(
        folder, *shop(route("list", "GET /pets", **target(2))), stage("prod", "v1"), stage("test")
    )
    assert main(["validate", "-f", str(folder)]) == 0
    capsys.readouterr()
    snapshot = folder.parent / "snapshot.json"
    assert main(["compile", "-f", str(folder), "-o", str(snapshot)]) == 0
    text = snapshot.read_text()
    assert "http://v1.example/" in text
    assert "http://v2.example/" in text
    for name, number in (("prod", 1), ("test", 2)):
        capsys.readouterr()
        url = f"http://shop.default.localhost/{name}/pets"
        assert main(["explain", "GET", url, "-f", str(folder), "-o", "json"]) == 0
        assert f"http://v{number}.example/" in json.dumps(json.loads(capsys.readouterr().out))


def test_a_name_stands_for_one_state(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = deploy(folder)
    assert deploy(folder) == before
    write(folder, *shop(route("list", "GET /pets", **target(2))))
    capsys.readouterr()
    assert main(["deploy", "v1", "-f", str(folder), "-o", str(folder / "v1.yaml")]) == 1
    assert "already holds another state" in capsys.readouterr().err
    assert list(yaml.safe_load_all((folder / "v1.yaml").read_text())) == before
    deploy(folder, "v2")
    assert main(["validate", "-f", str(folder)]) == 0


def test_many_routes_are_several_objects(folder: Path) -> None:
    text = "; ".join(f"{n} of the words that do not compress well: {n * 7919}" for n in range(20))
    routes = [
        route(f"r{n}", f"GET /r{n}", integration={"url": f"http://h/{n}", "credentials": text})
        for n in range(700)
    ]
    write(folder, *shop(*routes))
    documents = deploy(folder)
    assert len(documents) > 2
    assert main(["validate", "-f", str(folder)]) == 0
    # One of them lost, and the stage says which.
    (folder / "v1.yaml").write_text(yaml.dump_all(documents[1:]))
    write(folder, *shop(*routes), stage("prod", "v1"))
    assert main(["validate", "-f", str(folder)]) == 1


def test_what_cannot_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "v1", "-f", str(folder), "-o", str(folder / "no" / "v1.yaml")]) == 1
    assert "No such file" in capsys.readouterr().err
    write(folder, manifest("RestApi", "shop"))
    output = folder.parent / "v1.yaml"
    assert main(["deploy", "v1", "-f", str(folder), "-o", str(output)]) == 1
    assert not output.exists()


@pytest.mark.parametrize("name", ["V1", "v1_", "", "-v", "a" * 300])
def test_names_are_those_of_objects(
    name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "--api=shop", "-f", str(folder), "--", name])
    assert ended.value.code == 2
    assert "is not a name" in capsys.readouterr().err
