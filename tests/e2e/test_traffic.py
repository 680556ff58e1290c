"""Requests through the Service: from a pod, from the node and from outside, small to WebSocket."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import NamedTuple

import pytest

from installation import HOST, Installation
from pod_client import GATEWAY, PodClient

MIB = 1024 * 1024
LARGE = 100 * MIB
PETS = {1: "Tiger", 2: "Bello", 3: "Nemo"}
Run = Callable[..., str]


class Caller(NamedTuple):
    """Where requests come from."""

    run: Run
    """A program there; what it prints."""
    gateway: str
    """Address and port that it calls."""


# What a browser does: a handshake, one message, one close; the echo comes back before the end.
WEBSOCKET = r"""
exec 3<>/dev/tcp/ADDRESS
printf 'GET /chat HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' >&3
printf 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: KEY\r\n\r\n' >&3
printf '\x81\x85\0\0\0\0hello\x88\x80\0\0\0\0' >&3
cat <&3
"""

IN_A_POD = """
import asyncio, sys
from aiohttp import ClientSession

async def main(url, host):
    async with ClientSession() as session:
        async with session.ws_connect(url, headers={"Host": host}) as socket:
            await socket.send_str("hello from a pod")
            print(await socket.receive_str(timeout=20))
            await socket.send_bytes(bytes(range(256)) * 1024)
            print(len(await socket.receive_bytes(timeout=20)))

asyncio.run(main(*sys.argv[1:]))
"""
RESOLVE = """
import sys, urllib.request
url, host = sys.argv[1:]
request = urllib.request.Request(url, headers={"Host": host})
with urllib.request.urlopen(request, timeout=20) as answer:
    print(answer.read().decode())
"""


@pytest.fixture(params=["from a pod", "from the node", "from outside"])
def caller(request: pytest.FixtureRequest, client: PodClient, petstore: Installation) -> Caller:
    """Each of them in turn: at the Service's own address, or at the node's."""
    if request.param == "from outside":
        return Caller(petstore.bed.outside, petstore.node_address())
    address = f"{petstore.service_address()}:80"
    if request.param == "from a pod":
        return Caller(client.in_its_network, address)
    return Caller(lambda *command: petstore.bed.on_node(*command).stdout, address)


@pytest.fixture
def curl(caller: Caller) -> Run:
    """`curl PATH` at the gateway."""
    quiet = ("--silent", "--show-error", "--fail", "--max-time", "120", "-H", f"Host: {HOST}")
    url = f"http://{caller.gateway}"
    return lambda path, *options: caller.run("curl", *quiet, *options, f"{url}{path}")


def test_json(curl: Run) -> None:
    for number, name in PETS.items():
        assert json.loads(curl(f"/pets/{number}"))["name"] == name
    new = ("-H", "Content-Type: application/json", "-d", '{"name": "Rex", "type": "dog"}')
    made = json.loads(curl("/pets", *new))
    assert json.loads(curl(f"/pets/{made['id']}")) == made
    assert curl(f"/pets/{made['id']}", "-X", "DELETE") == ""


def test_an_unknown_host_and_path(caller: Caller) -> None:
    url = f"http://{caller.gateway}/pets"
    status = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}")
    assert caller.run(*status, url) == "403"
    assert caller.run(*status, "-H", f"Host: {HOST}", f"{url}-of-others") == "403"
    assert caller.run(*status, "-H", f"Host: {HOST}", url) == "200"


def test_100_mib_down(caller: Caller) -> None:
    script = (
        f"curl -sS --fail --max-time 300 -H 'Host: {HOST}' "
        f"'http://{caller.gateway}/files/big?size=100MiB' | sha256sum"
    )
    block = block_of("big")
    expected = hashlib.sha256(block * (LARGE // len(block))).hexdigest()
    assert caller.run("bash", "-c", script).split()[0] == expected


def test_100_mib_up(caller: Caller) -> None:
    script = (
        f"head -c {LARGE} /dev/zero | curl -sS --fail --max-time 300 -H 'Host: {HOST}' -T - "
        f"http://{caller.gateway}/files/up"
    )
    answer = json.loads(caller.run("bash", "-c", script))
    assert answer == {
        "name": "up",
        "bytes": LARGE,
        "sha256": hashlib.sha256(bytes(LARGE)).hexdigest(),
    }


def test_websocket(caller: Caller) -> None:
    key = base64.b64encode(bytes(16)).decode()
    script = WEBSOCKET.replace("ADDRESS", caller.gateway.replace(":", "/"))
    script = script.replace("HOST", HOST).replace("KEY", key)
    head, _, frames = caller.run("timeout", "30", "bash", "-c", script).partition("\n\n")
    assert head.startswith("HTTP/1.1 101 ")
    accepted = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
    assert base64.b64encode(accepted).decode() in head
    assert "hello" in frames


def test_websocket_by_the_service_s_name(client: PodClient) -> None:
    said = client.python(IN_A_POD, f"{GATEWAY}/chat", HOST)
    assert said.split("\n")[:2] == ["hello from a pod", str(256 * 1024)]


def test_json_by_the_service_s_name(client: PodClient) -> None:
    assert json.loads(client.python(RESOLVE, f"{GATEWAY}/pets/1", HOST))["name"] == PETS[1]


def block_of(name: str) -> bytes:
    """As the example's service makes it."""
    seed = name.encode()
    parts = (hashlib.sha256(seed + number.to_bytes(4)).digest() for number in range(2048))
    return b"".join(parts)
