"""Everything the first time, then only what differs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from portico_cli import overview
from portico_cli.configuration import Configuration, Loader
from portico_cli.render import Printer
from portico_compiler.world import Settings

HEAD = "apiVersion: portico.dev/v1alpha1\nkind: "
API = HEAD + "RestApi\nmetadata: {name: shop}\n"


def route(name: str, key: str, target: str = "url: 'http://h/x'", api: str = "shop") -> str:
    return (
        f"{HEAD}Route\nmetadata: {{name: {name}}}\nspec:\n  apiRef: {{name: {api}}}\n"
        f"  routeKey: {key}\n  integration: {{{target}}}\n"
    )


class Session:
    """Loads and shows, as dev does."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "a.yaml"
        self.loader = Loader([str(folder)])
        self.state: overview.State | None = None

    def load(self, *documents: str) -> Configuration:
        self.file.write_text("---\n".join(documents))
        return self.loader.load(Settings(sole_api_fallback=True, port=8080))

    def show(self, *documents: str, refused: dict[str, str] | None = None) -> list[str]:
        state = overview.state_of(self.load(*documents), refused or {})
        stream = io.StringIO()
        if self.state is None:
            overview.everything(Printer(stream), state)
        else:
            overview.differences(Printer(stream), self.state, state)
        self.state = state
        return stream.getvalue().splitlines()


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


def test_everything_as_tables(session: Session) -> None:
    lines = session.show(API, route("a", "GET /a/{x}"), route("b", "GET /b", "timeout: soon"))
    cells = [line.split() for line in lines]
    assert cells[0] == ["ROUTE", "KEY", "URL", "TARGET", "SERVES"]
    url = "http://shop.default.localhost:8080/a/{x}"
    assert ["default/a", "GET", "/a/{x}", url, "http://h/x", "True"] in cells
    assert [c[-1] for c in cells if c[:1] == ["default/b"]] == ["False"]
    assert ["restapi.portico.dev/shop", "True", "True", "True"] in cells
    broken = next(c for c in cells if c[:1] == ["route.portico.dev/b"])
    assert (broken[1], broken[3]) == ("False", "False")
    assert "spec.integration.timeout:" in broken


def test_no_difference_is_no_line(session: Session) -> None:
    session.show(API, route("a", "GET /a"))
    assert session.show(API, route("a", "GET /a")) == []


def test_only_differences(session: Session) -> None:
    session.show(API, route("a", "GET /a"), route("b", "GET /b"))
    lines = session.show(API, route("a", "GET /a", "url: 'http://h/y'"), route("c", "GET /c"))
    at = "http://shop.default.localhost:8080"
    assert lines == [
        f"~ GET /a  {at}/a → http://h/y",
        f"+ GET /c  {at}/c → http://h/x",
        f"- GET /b  {at}/b → http://h/x",
    ]


def test_a_route_that_breaks_says_why(session: Session) -> None:
    session.show(API, route("a", "GET /a"))
    first, second = session.show(API, route("a", "GET /a", "url: 'http://h', timeout: soon"))
    assert first.startswith("~ GET /a  http://shop.default.localhost:8080/a → 500: ")
    assert second.startswith("~ route.portico.dev/a ACCEPTED=False")
    assert "timeout" in second


def test_what_a_data_plane_refuses_is_not_programmed(session: Session) -> None:
    lines = session.show(API, refused={"api/default/RestApi/shop": "no"})
    assert ["restapi.portico.dev/shop", "True", "True", "False", "no"] in [x.split() for x in lines]


def test_what_no_stage_serves_is_not_programmed(session: Session) -> None:
    stage = (
        f"{HEAD}Stage\nmetadata: {{name: prod}}\nspec: {{apiRef: {{name: shop}}, stageName: prod, "
        "deploymentRef: {name: gone}}\n"
    )
    alone = API + "spec: {defaultStage: Never}\n"
    lines = session.show(alone, route("a", "GET /a"), stage)
    rows = {line.split()[0]: line for line in lines if ".portico.dev/" in line}
    for name in ("restapi.portico.dev/shop", "route.portico.dev/a", "stage.portico.dev/prod"):
        assert "False" in rows[name].split()
    assert (
        "NotDeployed: no Stage serves the current routes: Stage prod" in rows["route.portico.dev/a"]
    )
    # What its own condition says already is not said twice.
    assert rows["stage.portico.dev/prod"].count("there is no ApiDeployment") == 1


def test_long_tables_are_cut(session: Session) -> None:
    lines = session.show(API, *(route(f"r{n}", f"GET /r{n}") for n in range(250)))
    assert "… and 50 more routes" in lines
    assert "… and 51 more objects" in lines
    changed = session.show(API)
    assert changed[-1] == "… and 50 more differences"
    assert len(changed) == overview.MOST_ROWS + 1


def test_a_service_without_address_is_a_hint(session: Session) -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: pets}\nspec: {ports: [{port: 80}]}\n"
    to_pets = route("a", "GET /a", "service: {name: pets, port: 80}")
    session.show(API)
    hints = [x for x in session.show(API, service, to_pets) if x.startswith("hint: ")]
    assert len(hints) == 1
    assert "default/pets:80" in hints[0]
    assert session.show(API, service, to_pets) == []


@pytest.mark.parametrize(
    ("documents", "line"),
    [
        ([API, route("b", "GET /b"), route("a", "GET /a")], "curl http://localhost:8080/b"),
        ([API, route("a", "GET /a/{x}"), route("b", "GET /b")], "curl http://localhost:8080/b"),
        ([API, route("a", "GET /a/{x}")], "curl http://localhost:8080/a/1"),
        ([API, route("a", "ANY /a/{proxy+}")], "curl http://localhost:8080/a/1"),
        ([API, route("a", "POST /a")], "curl -X POST http://localhost:8080/a"),
        ([API], ""),
        ([API, route("a", "GET /a", "timeout: soon")], ""),
        (
            [API, API.replace("name: shop", "name: two"), route("a", "GET /a")],
            "curl http://shop.default.localhost:8080/a",
        ),
    ],
)
def test_a_curl_line_that_works(session: Session, documents: list[str], line: str) -> None:
    assert overview.curl_line(session.load(*documents), 8080) == line


def test_a_curl_line_for_a_domain_that_does_not_resolve(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "---\n".join([API, API.replace("name: shop", "name: two"), route("a", "GET /a")])
    )
    found = Loader([str(tmp_path)]).load(Settings(base_domain="api.example", port=80))
    expected = "curl --connect-to ::127.0.0.1:80 http://shop.default.api.example/a"
    assert overview.curl_line(found, 80) == expected


def test_summary(session: Session) -> None:
    found = session.load(API, route("a", "GET /a"), route("b", "GET /b", "timeout: soon"))
    assert overview.summary(found).startswith("1 API, 2 routes, ")
