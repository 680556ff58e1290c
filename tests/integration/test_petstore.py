"""examples/petstore as a newcomer meets it: JSON, large bodies both ways, a WebSocket.

The manifests are the example's own; only the ports of its backends are free ones here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from dev_process import PATIENCE_S, DevProcess, free_port

PETSTORE = Path(__file__).parents[2] / "examples" / "petstore"
MIB = 1024 * 1024
LARGE = 100 * MIB
CHUNK = 64 * 1024


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
async def dev(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DevProcess]:
    services = {}
    for name in ("pets", "files", "chat"):
        port = free_port()
        services[f"default/{name}"] = {
            "url": f"http://127.0.0.1:{port}",
            "run": ["python", "-m", f"services.{name}", "--port", port],
            "cwd": str(PETSTORE),
        }
    backends = tmp_path / "backends.yaml"
    backends.write_text(json.dumps({"services": services}))
    options = ("--backends", str(backends), "--workers", request.param)
    async with DevProcess(PETSTORE, options=options) as process:
        yield process


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as made:
        yield made


async def test_pets(dev: DevProcess, session: aiohttp.ClientSession) -> None:
    url = await dev.url()
    async with session.get(f"{url}/pets/1") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert await response.json() == {"id": 1, "name": "Tiger", "type": "cat"}
        assert "x-amzn-RequestId" in response.headers
    new = {"name": "Rex", "type": "dog"}
    async with session.post(f"{url}/pets", json=new) as response:
        assert response.status == 201
        location = response.headers["Location"]
        assert await response.json() == {"id": 4, **new}
    async with session.put(url + location, json={"name": "Max", "type": "dog"}) as response:
        assert (await response.json())["name"] == "Max"
    async with session.get(f"{url}/pets", params={"type": "dog"}) as response:
        assert [pet["name"] for pet in await response.json()] == ["Bello", "Max"]
    async with session.delete(url + location) as response:
        assert (response.status, await response.read()) == (204, b"")
    async with session.get(url + location) as response:
        assert (response.status, await response.json()) == (404, {"message": "there is no pet 4"})
    async with session.post(f"{url}/pets", data=b"no json") as response:
        assert response.status == 400
    async with session.patch(f"{url}/pets") as response:
        assert response.status == 403
        assert await response.json() == {"message": "Missing Authentication Token"}


async def test_a_large_download(dev: DevProcess, session: aiohttp.ClientSession) -> None:
    url = await dev.url()
    before = peak_memory(dev.process.pid)
    received, digest = 0, hashlib.sha256()
    async with session.get(f"{url}/files/big?size=100MiB") as response:
        assert response.content_length == LARGE
        async for chunk in response.content.iter_chunked(CHUNK):
            received += len(chunk)
            digest.update(chunk)
    assert received == LARGE
    assert digest.hexdigest() == digest_of("big", LARGE)
    assert peak_memory(dev.process.pid) - before < 32 * MIB
    async with session.head(f"{url}/files/big?size=1GiB") as response:
        assert (response.status, response.content_length) == (200, 1024 * MIB)


async def test_a_large_upload(dev: DevProcess, session: aiohttp.ClientSession) -> None:
    url = await dev.url()
    before = peak_memory(dev.process.pid)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(LARGE // CHUNK):
            yield b"\x5a" * CHUNK

    expected = {
        "name": "up",
        "bytes": LARGE,
        "sha256": hashlib.sha256(b"\x5a" * LARGE).hexdigest(),
    }
    # With a length, and in chunks.
    for headers in ({"Content-Length": str(LARGE)}, {}):
        async with session.put(f"{url}/files/up", data=body(), headers=headers) as response:
            assert (response.status, await response.json()) == (201, expected)
    assert peak_memory(dev.process.pid) - before < 32 * MIB


async def test_a_body_beyond_the_route_s_limit(
    dev: DevProcess, session: aiohttp.ClientSession
) -> None:
    """`maxRequestBody: 1Gi`, told by the length alone; the other routes take 10 MiB."""
    port = (await dev.ports())[0]
    assert await status_of_announced(port, "/files/up", 1024 * MIB + 1) == b"413"
    assert await status_of_announced(port, "/pets", 10 * MIB + 1) == b"413"


async def test_the_chat(dev: DevProcess, session: aiohttp.ClientSession) -> None:
    url = await dev.url()
    async with session.get(f"{url}/chat") as response:
        assert response.content_type == "text/html"
        assert "Petstore chat" in await response.text()
    async with session.ws_connect(f"{url}/chat") as socket:
        await socket.send_str("hello")
        assert await socket.receive_str(timeout=PATIENCE_S) == "hello"
        await socket.send_bytes(b"\x00" * MIB)
        assert await socket.receive_bytes(timeout=PATIENCE_S) == b"\x00" * MIB
        await socket.ping()
        for number in range(100):
            await socket.send_str(str(number))
        echoes = [await socket.receive_str(timeout=PATIENCE_S) for _ in range(100)]
        assert echoes == [str(number) for number in range(100)]
    assert socket.close_code == 1000


async def test_an_open_chat_does_not_hold_up_the_end(
    dev: DevProcess, session: aiohttp.ClientSession
) -> None:
    url = await dev.url()
    async with session.ws_connect(f"{url}/chat") as socket:
        await socket.send_str("hello")
        await socket.receive_str(timeout=PATIENCE_S)
        assert await dev.ended() == 0
        message = await socket.receive(timeout=PATIENCE_S)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


def digest_of(name: str, size: int) -> str:
    """What services/files.py sends for a name, made here again."""
    seed = name.encode()
    block = b"".join(hashlib.sha256(seed + n.to_bytes(4)).digest() for n in range(CHUNK // 32))
    digest = hashlib.sha256()
    for _ in range(size // CHUNK):
        digest.update(block)
    return digest.hexdigest()


def peak_memory(pid: int) -> int:
    """Most memory that the process and its workers have had, in bytes; 0 where unknown."""
    total = 0
    for process in (pid, *children_of(pid)):
        try:
            status = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        total += int(found[0]) * 1024 if found else 0
    return total


def children_of(pid: int) -> list[int]:
    """The gateway's workers; not the backends, whose memory is their own affair."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"portico_dataplane" in command:
                found.append(int(child))
    return found


async def status_of_announced(port: int, path: str, length: int) -> bytes:
    """The status that a head alone gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
    writer.write(head.encode())
    line = await asyncio.wait_for(reader.readline(), PATIENCE_S)
    writer.close()
    await writer.wait_closed()
    return line.split()[1]
