"""Where a request would go: the same as where the engine sends it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yarl

from portico_cli.configuration import Loader
from portico_cli.inquiry import Asked, Explained, inquire
from portico_compiler.world import Settings as WorldSettings
from portico_dataplane.app import Gateway
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.meters import StageMeters
from portico_ir.errors import ErrorKind
from portico_ir.model import Snapshot

HEAD = "apiVersion: portico.dev/v1alpha1\nkind: "

REST = ["GET /", "GET /a", "ANY /a", "GET /a/{x}", "GET /a/{x}/b", "ANY /p/{proxy+}", "POST /a/b"]
HTTP = ["GET /a", "ANY /a/{x}", "GET /a/{proxy+}", "POST /b/", "$default"]
PATHS = [
    "/",
    "/a",
    "/a/",
    "//a",
    "/a/1",
    "/a/b",
    "/a/1/b",
    "/a/1/c",
    "/p",
    "/p/1/2",
    "/b",
    "/b/",
    "/dev/a",
    "/dev",
    "/dev//a",
    "/prod/a/1",
    "/%61",
    "/a/%2F",
    "/a/%zz",
    "/a/..%2f",
    "/nowhere",
]


def mock(status: int) -> str:
    return (
        "  integration:\n    type: MOCK\n"
        "    requestTemplates: {application/json: '{\"statusCode\": 200}'}\n"
        f"    responses: {{default: {{statusCode: {status}}}}}\n"
    )


def api(kind: str, name: str, keys: list[str], stages: tuple[str, ...] = ()) -> str:
    """An API whose routes each answer a status of their own."""
    parts = [f"{HEAD}{kind}\nmetadata: {{name: {name}}}\n"]
    ref = f"  apiRef: {{kind: {kind}, name: {name}}}\n"
    for stage in stages:
        parts.append(
            f"{HEAD}Stage\nmetadata: {{name: {name}-{stage}}}\nspec:\n{ref}  stageName: {stage}\n"
        )
    for number, key in enumerate(keys):
        target = (
            mock(200 + number)
            if kind == "RestApi"
            else f"  integration: {{url: 'http://127.0.0.1:1/{number}'}}\n"
        )
        head = f"{HEAD}Route\nmetadata: {{name: {name}-{number}}}\nspec:\n{ref}  routeKey: {key}\n"
        parts.append(head + target)
    return "---\n".join(parts)


WORLD = "---\n".join(
    [
        api("RestApi", "rest", REST),
        api("RestApi", "staged", REST, ("dev", "prod")),
        api("HttpApi", "http", HTTP),
    ]
)


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    (tmp_path / "a.yaml").write_text(WORLD)
    found = Loader([str(tmp_path)]).load(WorldSettings(egress_open=True, local_paths=True))
    assert found.errors == []
    return found.compiled.snapshot


class _Lines:
    def write(self, line: str) -> None:
        """Not looked at."""


@pytest.fixture
async def port(snapshot: Snapshot) -> AsyncIterator[int]:
    settings = Settings(host="127.0.0.1", port=0)
    gateway = Gateway(settings, meters=StageMeters(), lines=_Lines())
    await gateway.start()
    await gateway.apply(snapshot)
    yield gateway.port
    await gateway.stop()


def said(explained: Explained) -> str:
    """The status a client would see, or the name of the route that would be called."""
    if explained.route is not None and not explained.why:
        return explained.route.route.object
    return f"error {explained.error}"


STATUSES = {
    ErrorKind.MISSING_AUTHENTICATION_TOKEN: 403,
    ErrorKind.UNKNOWN_STAGE: 403,
    ErrorKind.UNKNOWN_HOST: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.BAD_REQUEST: 400,
}


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "TRACE"])
@pytest.mark.parametrize("name", ["rest", "staged", "http", "unknown"])
async def test_it_says_what_the_engine_does(
    snapshot: Snapshot, port: int, name: str, method: str
) -> None:
    """Every path against every API, compared with real answers."""
    host = f"{name}.default.localhost"
    async with aiohttp.ClientSession() as session:
        for path in PATHS:
            explained = await inquire(snapshot, Asked(method, f"http://{host}{path}"))
            url = yarl.URL(f"http://127.0.0.1:{port}{path}", encoded=True)
            # A type of its own would leave a mock without template.
            headers = {"Host": host, "Content-Type": "application/json"}
            async with session.request(method, url, headers=headers) as response:
                await response.read()
                where = f"{method} {host}{path}: {said(explained)}"
                if explained.error is not None:
                    assert response.status == STATUSES[explained.error], where
                elif name == "http":
                    # Nothing listens there: what matters is that a backend was called.
                    assert response.status == 503, where
                else:
                    number = int(said(explained).rpartition("-")[2])
                    assert response.status == 200 + number, where


@pytest.mark.parametrize(
    ("url", "headers", "host", "target"),
    [
        ("/a", (), "localhost", "/a"),
        ("/a", (("Host", "h"),), "h", "/a"),
        ("http://h/a?b=c#d", (), "h", "/a?b=c"),
        ("HTTPS://h:8080", (), "h:8080", "/"),
        ("localhost:8080/a", (), "localhost:8080", "/a"),
        ("h?x", (), "h", "/?x"),
        ("http://h/a", (("host", "other"),), "other", "/a"),
        ("/ä b", (), "localhost", "/%C3%A4%20b"),
        ("/%2F%zz", (), "localhost", "/%2F%zz"),
        ("http://[::1]:80/x", (), "[::1]:80", "/x"),
    ],
)
def test_urls_as_people_write_them(
    url: str, headers: tuple[tuple[str, str], ...], host: str, target: str
) -> None:
    asked = Asked("GET", url, headers)
    assert (asked.host, asked.target) == (host, target)
    assert asked.head().startswith(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n".encode())


async def test_other_routes_say_why_not(snapshot: Snapshot) -> None:
    explained = await inquire(snapshot, Asked("GET", "http://rest.default.localhost/a/1"))
    assert said(explained) == "default/rest-3"
    reasons = {other.key: other.why for other in explained.others}
    assert set(reasons) == set(REST) - {"GET /a/{x}"}
    assert all(reasons.values())
    assert "literal" in reasons["POST /a/b"] or "method" in reasons["POST /a/b"]


async def test_a_method_override_counts_as_in_the_engine(snapshot: Snapshot) -> None:
    headers = (("X-HTTP-Method-Override", "post"),)
    asked = Asked("GET", "http://rest.default.localhost/a/b", headers)
    assert said(await inquire(snapshot, asked)) == "default/rest-6"


async def test_the_local_path_names_api_and_stage(snapshot: Snapshot) -> None:
    by_host = await inquire(snapshot, Asked("GET", "http://staged.default.localhost/dev/a"))
    assert by_host.api is not None
    path = f"/_aws/execute-api/{by_host.api.unit.api_id}/dev/a"
    by_path = await inquire(snapshot, Asked("GET", f"http://anything{path}"))
    assert said(by_path) == said(by_host)
    assert json.dumps(by_path.found_by)
