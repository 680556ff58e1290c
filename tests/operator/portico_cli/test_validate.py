"""Ten different mistakes are ten problems with field paths; a clean folder is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portico_cli import validate

HEAD = "apiVersion: portico.dev/v1alpha1\nkind: "
API = HEAD + "HttpApi\nmetadata: {name: shop}\n"


def route(name: str, key: str, rest: str = "  integration: {url: 'http://h'}\n") -> str:
    api = "apiRef: {kind: HttpApi, name: shop}"
    return f"{HEAD}Route\nmetadata: {{name: {name}}}\nspec:\n  {api}\n  routeKey: {key}\n{rest}"


MISTAKES = {
    "a-syntax.yaml": (HEAD + "Route\nmetadata: {name: broken\n", ["", "MalformedDocument"]),
    "b-duplicate.yaml": (
        route("twice", "GET /b") + "  routeKey: GET /bb\n",
        ["Route default/twice", "spec.routeKey", "MalformedDocument"],
    ),
    "c-kind.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n",
        ["Deployment d", "kind", "UnknownKind"],
    ),
    "d-field.yaml": (
        route("misspelt", "GET /d") + "  apiKeyRequird: true\n",
        ["Route default/misspelt", "spec.apiKeyRequird", "UnknownField"],
    ),
    "e-type.yaml": (
        route("typed", "GET /e") + "  apiKeyRequired: 'yes'\n",
        ["Route default/typed", "spec.apiKeyRequired", "InvalidValue"],
    ),
    "f-duration.yaml": (
        route("slow", "GET /f", "  integration: {url: 'http://h', timeout: soon}\n"),
        ["Route default/slow", "spec.integration.timeout", "InvalidValue"],
    ),
    "g-api.yaml": (
        route("dangling", "GET /g").replace("name: shop}", "name: nowhere}"),
        ["Route default/dangling", "spec.apiRef", "RefNotFound"],
    ),
    "h-service.yaml": (
        route("lonely", "GET /h", "  integration: {service: {name: nobody, port: 80}}\n"),
        ["Route default/lonely", "spec.integration.service", "ServiceNotFound"],
    ),
    "i-conflict.yaml": (
        route("elder", "GET /i/{a}") + "---\n" + route("younger", "GET /i/{b}"),
        ["Route default/younger", "spec.routeKey", "Conflicted"],
    ),
    "j-key.yaml": (
        route("keyless", "FETCH it"),
        ["Route default/keyless", "spec.routeKey", "InvalidValue"],
    ),
}


def run(folder: Path, *, as_json: bool = False) -> int:
    return validate.run([str(folder)], None, "localhost", as_json=as_json)


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    (tmp_path / "api.yaml").write_text(API)
    for name, (text, _) in MISTAKES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_ten_mistakes_are_ten_problems(ten: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ten) == 1
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "10 objects, 10 problems"
    assert len(lines) == 10
    for line, (name, (_, words)) in zip(lines, MISTAKES.items(), strict=True):
        assert line.startswith(f"{ten / name}:")
        for word in words:
            assert word in line


def test_the_line_is_that_of_the_field(ten: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(ten)
    places = [
        line.split(": ")[0].rpartition("/")[2] for line in capsys.readouterr().out.splitlines()
    ]
    assert places[:-1] == [
        "a-syntax.yaml:4",
        "b-duplicate.yaml:8",
        "c-kind.yaml:2",
        "d-field.yaml:8",
        "e-type.yaml:8",
        "f-duration.yaml:7",
        "g-api.yaml:5",
        "h-service.yaml:7",
        "i-conflict.yaml:14",
        "j-key.yaml:6",
    ]


def test_as_json(ten: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(ten, as_json=True) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["valid"] is False
    assert [Path(p["file"]).name for p in document["problems"]] == list(MISTAKES)
    assert document["problems"][3] | {"message": "", "file": ""} == {
        "file": "",
        "document": 0,
        "line": 8,
        "object": {"kind": "Route", "namespace": "default", "name": "misspelt"},
        "field": "spec.apiKeyRequird",
        "reason": "UnknownField",
        "message": "",
        "severity": "error",
    }


def test_nothing_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "api.yaml").write_text(API + "---\n" + route("r", "GET /r"))
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == "2 objects, no problems\n"
    assert run(tmp_path, as_json=True) == 0
    expected = {"valid": True, "objects": 2, "problems": []}
    assert json.loads(capsys.readouterr().out) == expected


def test_a_folder_without_manifests_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A check that silently checks nothing is worse than none."""
    assert run(tmp_path) == 1
    assert capsys.readouterr().out == f"no manifests in {tmp_path}\n"


def test_a_directory_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "api.yaml").write_text(API)
    (tmp_path / "loop").symlink_to(".")
    assert run(tmp_path) == 1
    first = capsys.readouterr().out.splitlines()[0]
    expected = f"MalformedDocument: a directory loop: it leads back to {tmp_path}"
    assert first == f"{tmp_path}/loop: error: {expected}"


def test_two_thousand_routes_with_one_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one is found; and the same mistake in all of them is two thousand problems."""
    good = [route(f"r{n}", f"GET /r{n}") for n in range(2000)]
    one = [*good[:1234], good[1234].replace("url:", "uri:"), *good[1235:]]
    file = tmp_path / "routes.yaml"
    file.write_text("---\n".join([API, *one]))
    assert run(tmp_path) == 1
    problems = capsys.readouterr().out.splitlines()[:-1]
    assert problems
    assert all("Route default/r1234: spec.integration" in problem for problem in problems)
    file.write_text("---\n".join([API, *(text.replace("'http://h'", "[]") for text in good)]))
    assert run(tmp_path) == 1
    *problems, last = capsys.readouterr().out.splitlines()
    assert last == "2001 objects, 2000 problems"
    assert [p.split(": ")[2] for p in problems] == [f"Route default/r{n}" for n in range(2000)]
