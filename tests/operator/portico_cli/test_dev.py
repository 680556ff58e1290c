"""`portico dev` from start to Ctrl-C, with real files, processes and sockets."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from dev_process import PATIENCE_S, DevProcess, free_port

HEAD = "apiVersion: portico.dev/v1alpha1\nkind: "
API = HEAD + "RestApi\nmetadata: {name: shop}\n"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: echo}\nspec: {ports: [{port: 80}]}\n"
ECHO = """
import sys
from aiohttp import web
async def echo(request):
    return web.json_response({"path": request.path, "word": sys.argv[2]})
app = web.Application()
app.router.add_route("*", "/{tail:.*}", echo)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


def route(name: str, key: str, path: str = "") -> str:
    target = f"{{name: echo, port: 80{f', path: {path}' if path else ''}}}"
    return (
        f"{HEAD}Route\nmetadata: {{name: {name}}}\nspec:\n  apiRef: {{name: shop}}\n"
        f"  routeKey: {key}\n  integration: {{service: {target}}}\n"
    )


def manifests(*routes: str) -> str:
    return "---\n".join([API, SERVICE, *routes])


class Folder:
    """Manifests with one backend of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self.routes = folder / "routes.yaml"
        self.backends = folder / "portico.dev.yaml"
        self.routes.write_text(manifests(route("a", "GET /a")))
        self.port = free_port()
        self.write_backends("one")

    def backends_text(self, word: str) -> str:
        run = ["python", "-c", ECHO, str(self.port), word]
        entry = {"url": f"http://127.0.0.1:{self.port}", "run": run}
        return json.dumps({"services": {"default/echo": entry}})

    def write_backends(self, word: str) -> None:
        self.backends.write_text(self.backends_text(word))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def get(url: str, **options: object) -> tuple[int, object]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, **options) as response,  # type: ignore[arg-type]
    ):
        return response.status, json.loads(await response.read())


async def test_it_serves_what_it_says(folder: Folder) -> None:
    """Backends accept before it says so; the curl line, the URL and the admin port are right."""
    async with DevProcess(folder.path) as dev:
        port, admin = await dev.ports()
        expected = 200, {"path": "/a", "word": "one"}
        assert await get(f"http://127.0.0.1:{port}/a") == expected
        assert f"try: curl http://localhost:{port}/a" in dev.lines
        host = {"Host": f"shop.default.localhost:{port}"}
        assert await get(f"http://127.0.0.1:{port}/a", headers=host) == expected
        table = next(line for line in dev.lines if line.startswith("default/a"))
        assert f"http://shop.default.localhost:{port}/a" in table
        assert any(line.startswith("restapi.portico.dev/shop   True") for line in dev.lines)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{admin}/readyz") as ready,
            session.get(f"http://127.0.0.1:{admin}/metrics") as metrics,
        ):
            assert ready.status == 200
            assert "portico_" in await metrics.text()
        # One short line per request.
        await dev.line(lambda line: "GET /a" in line and "200" in line)
        assert await dev.ended() == 0


async def test_limits_are_those_of_a_data_plane(folder: Folder) -> None:
    async with DevProcess(folder.path, options=("--max-connections=1",)) as dev:
        port, admin = await dev.ports()
        _, first = await asyncio.open_connection("127.0.0.1", port)
        first.write(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await dev.line(lambda line: "GET /a" in line)
        reader, second = await asyncio.open_connection("127.0.0.1", port)
        assert b" 503 " in await reader.readline()
        for writer in (first, second):
            writer.close()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{admin}/metrics") as metrics,
        ):
            text = await metrics.text()
        assert 'portico_connections_refused_total{cause="total"} 1.0' in text
        assert 'portico_requests_shed_total{cause="lag"} 0.0' in text


async def test_an_edit_is_served_and_only_it_is_shown(folder: Folder) -> None:
    async with DevProcess(folder.path) as dev:
        url = await dev.url()
        text = manifests(route("a", "GET /a", "/elsewhere"), route("b", "GET /b"))
        said = await dev.edited(folder.routes, text)
        assert [line[0] for line in said] == ["~", "+", "r"]
        assert said[-1] == "reloaded: 1 API, 2 routes, 0 problems"
        assert await get(f"{url}/a") == (200, {"path": "/elsewhere", "word": "one"})
        assert await get(f"{url}/b") == (200, {"path": "/b", "word": "one"})
        said = await dev.edited(folder.routes, manifests(route("b", "GET /b")))
        assert said[0].startswith("- GET /a ")
        assert (await get(f"{url}/a"))[0] == 403
        assert await dev.ended(signal.SIGTERM) == 0


async def test_a_syntax_error_keeps_the_last_good_configuration(folder: Folder) -> None:
    """And is printed once, however often the file is saved with it."""
    good = manifests(route("a", "GET /a"))
    async with DevProcess(folder.path) as dev:
        url = await dev.url()
        said = await dev.edited(folder.routes, good + "---\nkind: [\n")
        assert said[0].startswith(f"{folder.routes}:")
        assert ": error: MalformedDocument: " in said[0]
        assert said[1] == "the last good configuration serves on; waiting for the files to change"
        assert (await get(f"{url}/a"))[0] == 200
        before = len(dev.lines)
        folder.routes.write_text("# moved a line down\n" + good + "---\nkind: [\n")
        # Another file, another mistake: said alone, so that the first was not said again.
        other = folder.path / "other.yaml"
        said = await dev.edited(other, "}")
        assert all("routes.yaml" not in line for line in dev.lines[before:])
        assert any(line.startswith(f"{other}:1: error: ") for line in dev.lines[before:])
        other.unlink()
        said = await dev.edited(folder.routes, good)
        assert [line for line in said if line.startswith(f"solved: {other}:")]
        assert said[-1] == "reloaded: 1 API, 1 route, 0 problems"


async def test_a_syntax_error_at_the_start_waits_for_its_mending(folder: Folder) -> None:
    folder.routes.write_text("kind: [")
    async with DevProcess(folder.path) as dev:
        await dev.line(lambda line: line.startswith("nothing serves yet"))
        folder.routes.write_text(manifests(route("a", "GET /b")))
        url = await dev.url()
        assert (await get(f"{url}/b"))[0] == 200


async def test_what_is_mended_is_said(folder: Folder) -> None:
    async with DevProcess(folder.path) as dev:
        await dev.ports()
        broken = manifests(route("a", "GET /a"), route("b", "GET /b").replace("port:", "prot:"))
        said = await dev.edited(folder.routes, broken)
        assert "UnknownField" in "".join(said)
        said = await dev.edited(folder.routes, manifests(route("a", "GET /a")))
        assert [line for line in said if line.startswith("solved: ")]
        await dev.edited(folder.routes, "a: [")
        said = await dev.edited(folder.routes, manifests(route("a", "GET /a")))
        assert [line for line in said if line.startswith(f"solved: {folder.routes}:")]


async def test_a_broken_route_leaves_its_neighbours_alone(folder: Folder) -> None:
    closed = route("b", "GET /b") + "  authorizationType: CUSTOM\n  authorizerRef: {name: gone}\n"
    async with DevProcess(folder.path) as dev:
        url = await dev.url()
        said = await dev.edited(folder.routes, manifests(route("a", "GET /a"), closed))
        assert any("Route default/b: spec.authorizerRef: RefNotFound" in line for line in said)
        assert await get(f"{url}/b") == (500, {"message": "Internal server error"})
        assert (await get(f"{url}/a"))[0] == 200


async def test_backends_follow_their_file(folder: Folder) -> None:
    async with DevProcess(folder.path) as dev:
        url = await dev.url()
        await dev.edited(folder.backends, folder.backends_text("two"))
        assert await get(f"{url}/a") == (200, {"path": "/a", "word": "two"})
        # Elsewhere, and not ours to start.
        folder.port = free_port()
        await dev.edited(folder.backends, "services: {}")
        assert (await get(f"{url}/a"))[0] == 503


async def test_a_backend_that_dies_is_reported_and_comes_back(folder: Folder) -> None:
    failing = folder.backends_text("one").replace("import sys", "import sys; sys.exit('no disk')")
    folder.backends.write_text(failing)
    async with DevProcess(folder.path) as dev:
        url = await dev.url()
        await dev.line(lambda line: "default/echo ended with exit code 1" in line)
        await dev.line(lambda line: line == "    no disk")
        status, body = await get(f"{url}/a")
        assert (status, body) == (504, {"message": "Network error communicating with endpoint"})
        await dev.edited(folder.backends, folder.backends_text("one"))
        assert (await get(f"{url}/a"))[0] == 200


async def test_no_request_fails_while_routes_are_edited(folder: Folder) -> None:
    """Edits under requests that never stop."""
    done = asyncio.Event()
    statuses: list[int] = []

    async def ask(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            while not done.is_set():
                async with session.get(f"{url}/a") as response:
                    await response.read()
                    statuses.append(response.status)

    async with DevProcess(folder.path) as dev:
        url = await dev.url()
        asking = [asyncio.ensure_future(ask(url)) for _ in range(4)]
        for number in range(10):
            text = manifests(route("a", "GET /a", f"/v{number}"), route("b", f"GET /b{number}"))
            await dev.edited(folder.routes, text)
        done.set()
        await asyncio.gather(*asking)
    assert statuses
    assert set(statuses) == {200}


async def test_workers_serve_the_same(folder: Folder) -> None:
    async with DevProcess(folder.path, options=("--workers", "2")) as dev:
        url = await dev.url()
        assert await get(f"{url}/a") == (200, {"path": "/a", "word": "one"})
        await dev.edited(folder.routes, manifests(route("a", "GET /a", "/x")))
        for _ in range(8):
            assert await get(f"{url}/a") == (200, {"path": "/x", "word": "one"})
        await dev.line(lambda line: "GET /a" in line and "200" in line)
        assert await dev.ended() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_port_in_use_is_one_clear_line(folder: Folder, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ("--port", str(port), "--host", "127.0.0.1", "--workers", workers)
        async with DevProcess(folder.path, options=options) as dev:
            assert await asyncio.wait_for(dev.process.wait(), PATIENCE_S) == 1
        assert dev.lines == [f"portico dev: port {port} is in use"]


async def test_a_folder_without_manifests_waits_for_some(folder: Folder) -> None:
    folder.routes.unlink()
    async with DevProcess(folder.path) as dev:
        url = await dev.url()
        assert (await get(f"{url}/a"))[0] == 403
        await dev.edited(folder.routes, manifests(route("a", "GET /a")))
        assert (await get(f"{url}/a"))[0] == 200
