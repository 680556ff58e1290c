"""Which API is meant, and when its state may be deployed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments import captured, shop
from manifests import manifest, route
from portico_cli import states
from portico_cli.files import Files
from portico_cli.render import Printer
from portico_compiler import ObjectRef


def current(path: Path, api: str | None = None) -> tuple[states.State | None, str]:
    said = io.StringIO()
    return states.current([str(path)], api, Printer(said)), said.getvalue()


def write(folder: Path, *documents: dict[str, Any]) -> Path:
    file = folder / "all.yaml"
    file.write_text(yaml.dump_all(documents))
    return file


def api(name: str, kind: str = "RestApi", namespace: str = "default") -> list[dict[str, Any]]:
    one = route(f"r-{kind.lower()}-{name}", "GET /r", name, kind)
    one["metadata"]["namespace"] = namespace
    return [manifest(kind, name, namespace=namespace), one]


def test_the_only_api_is_meant(tmp_path: Path) -> None:
    state, said = current(write(tmp_path, *shop()))
    assert state is not None
    assert state.captured == captured(shop())
    assert said == ""


MANY = [*api("shop"), *api("web"), *api("web", "HttpApi", "b"), *api("shop", namespace="c")]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("RestApi/web", ObjectRef("RestApi", "default", "web")),
        ("httpapi/web", ObjectRef("HttpApi", "b", "web")),
        ("default/restapi/shop", ObjectRef("RestApi", "default", "shop")),
        ("c/RestApi/shop", ObjectRef("RestApi", "c", "shop")),
    ],
)
def test_one_of_several(asked: str, meant: ObjectRef, tmp_path: Path) -> None:
    state, said = current(write(tmp_path, *MANY), asked)
    assert state is not None, said
    assert state.api == meant


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (None, "there are 4 APIs: say which with --api, one of b/HttpApi/web, c/RestApi/shop, "),
        ("web", "'web' may mean 2 APIs: say which with --api, one of b/HttpApi/web, default/"),
        ("gone", "there is no API 'gone' in these files; there is b/HttpApi/web, "),
        ("a/b/c/d", "there is no API 'a/b/c/d'"),
        ("", "there is no API ''"),
    ],
)
def test_who_is_meant_must_be_clear(asked: str | None, words: str, tmp_path: Path) -> None:
    state, said = current(write(tmp_path, *MANY), asked)
    assert state is None
    assert words in said


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        (
            [manifest("Stage", "s", {"apiRef": {"name": "x"}, "stageName": "s"})],
            "there is no API in",
        ),
        ([manifest("RestApi", "shop")], "cannot be deployed: RestApi default/shop has no Routes"),
        (shop(route("a", "GET /a", typo=1)), "not Accepted: Route default/a"),
        (shop(route("a", "GET /a"), route("b", "GET /a")), "not Accepted: Route default/b"),
    ],
)
def test_what_cannot_be_deployed(
    documents: list[dict[str, Any]], words: str, tmp_path: Path
) -> None:
    state, said = current(write(tmp_path, *documents))
    assert state is None
    assert words in said


def test_the_problem_itself_is_shown(tmp_path: Path) -> None:
    _, said = current(write(tmp_path, *shop(route("a", "GET /a", typo=1))))
    assert "spec.typo: UnknownField" in said


def test_a_text_that_cannot_be_read(tmp_path: Path) -> None:
    file = write(tmp_path, *shop())
    file.write_text(file.read_text() + "---\n{")
    state, said = current(file)
    assert state is None
    assert "nobody knows" in said


def test_what_is_missing_beside_stops_nobody(tmp_path: Path) -> None:
    away: dict[str, Any] = {"integration": {"service": {"name": "gone", "port": 80}}}
    state, _ = current(write(tmp_path, *shop(route("a", "GET /a", **away))))
    assert state is not None


def test_the_namespace_is_the_one_that_the_api_names(tmp_path: Path) -> None:
    ref = ObjectRef("RestApi", "default", "shop")
    bare = [{**d, "metadata": {"name": d["metadata"]["name"]}} for d in shop()]
    for documents, wanted in (
        (bare, ""),
        (shop(), "default"),
        ([{"apiVersion": "v1", "kind": "List", "items": shop()}], "default"),
        ([bare[0], shop()[1], {"kind": "List", "items": 7}, "text"], ""),
    ):
        file = write(tmp_path, *documents)
        assert states.named_namespace(Files(), [str(file)], ref) == wanted
