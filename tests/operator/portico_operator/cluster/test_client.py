"""KubeClient against a small server: errors in the server's words, lines of any length."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from portico_operator.cluster.client import (
    ApiError,
    Credentials,
    KubeClient,
    NotACluster,
    find_credentials,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler, **more: object) -> AsyncIterator[KubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    credentials = Credentials(server=f"http://127.0.0.1:{port}", **more)  # type: ignore[arg-type]
    try:
        async with KubeClient(credentials, timeout=5.0) as client:
            yield client
    finally:
        await runner.cleanup()


async def test_a_token_file_is_read_each_time(tmp_path: Path) -> None:
    file = tmp_path / "token"
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"ok": True})

    async with serving(handler, token_path=str(file), token="fallback") as client:
        await client.get("/x")
        for token in ("one\n", "two\n"):
            file.write_text(token)
            assert await client.get("/x") == {"ok": True}
    assert seen == ["Bearer fallback", "Bearer one", "Bearer two"]


async def test_a_refusal_has_the_servers_words() -> None:
    async def handler(_: web.Request) -> web.Response:
        said = {"kind": "Status", "reason": "Forbidden", "message": "you may not"}
        return web.json_response(said, status=403)

    async with serving(handler) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/x")
        assert (caught.value.status, caught.value.reason) == (403, "Forbidden")
        assert "you may not" in str(caught.value)
        with pytest.raises(ApiError):
            async for _ in client.watch("/x", {}, 5.0):
                raise AssertionError


@pytest.mark.parametrize(
    ("header", "wait"),
    [("7", 7.0), ("0", 0.0), (None, None), ("Wed, 21 Oct 2015 07:28:00 GMT", None), ("-1", None)],
)
async def test_how_long_the_server_asks_to_wait(header: str | None, wait: float | None) -> None:
    async def handler(_: web.Request) -> web.Response:
        headers = {} if header is None else {"Retry-After": header}
        return web.json_response({"reason": "TooManyRequests"}, status=429, headers=headers)

    async with serving(handler) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/x")
        assert caught.value.retry_after == wait


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff\xfe"])
async def test_a_proxys_answer_is_an_api_error_too(body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=502, body=body)

    async with serving(handler) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/x")
        assert caught.value.status == 502


async def test_what_is_no_json_is_an_api_error() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=b"\xff{")

    async with serving(handler) as client:
        with pytest.raises(ApiError):
            await client.get("/x")


async def test_lines_of_a_watch_of_any_length() -> None:
    lines = [b"a" * 3, b"b" * 3_000_000, b"c"]

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"\n".join(lines) + b"\n")
        return response

    async with serving(handler) as client:
        assert [line async for line in client.watch("/x", {}, 5.0)] == lines


async def test_a_silent_watch_ends() -> None:
    over = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"a\n")
        await over.wait()
        return response

    async with serving(handler) as client:
        assert [line async for line in client.watch("/x", {}, 0.05)] == [b"a"]
        over.set()


async def test_nobody_there() -> None:
    async with KubeClient(Credentials(server="http://127.0.0.1:1")) as client:
        with pytest.raises(ApiError) as caught:
            await client.get("/x")
        assert caught.value.status == 0
    with pytest.raises(ApiError):
        await client.get("/x")


def test_no_kubeconfig_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotACluster):
        find_credentials(str(tmp_path / "absent"))


def test_tokens_do_not_show_themselves() -> None:
    assert "hidden" not in repr(Credentials(server="https://x", token="hidden"))


def test_a_kubeconfig_gives_server_and_token(tmp_path: Path) -> None:
    file = tmp_path / "config"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/"}}],
        "users": [{"name": "u", "user": {"token": "hidden"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    file.write_text(json.dumps(config))
    found = find_credentials(str(file))
    assert found.server == "https://api.example:6443"
    assert found.bearer() == "hidden"
