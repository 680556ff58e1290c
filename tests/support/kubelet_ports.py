"""What a kubelet does for `kubectl port-forward`, without a node: ports of a pod that is us.

A real API server proxies to it (`/portForward/…`, subprotocol v4.channel.k8s.io: channel 2n carries
the data of port n, 2n+1 its error, each begins with the port's number in two bytes). Promises: it
opens ports of loopback only, as kubelet does inside a pod.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from pathlib import Path
from typing import Any, Self

from aiohttp import WSMsgType, web

from certificates import self_signed
from kubernetes_api import KubernetesApi
from portico_operator.tasks import spawn

NODE = "desk"
_PROTOCOL = "v4.channel.k8s.io"


class KubeletPorts:
    """A node with one ability; use as `async with`."""

    def __init__(self, folder: Path) -> None:
        self._certificate = self_signed(folder / "kubelet.pem", "127.0.0.1")
        app = web.Application()
        app.router.add_get("/portForward/{namespace}/{pod}", self._forward)
        self._runner = web.AppRunner(app)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.forwarded: list[tuple[str, int]] = []
        """Pod and port of each."""

    async def __aenter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listening, ssl_context=context).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def register(self, api: KubernetesApi) -> None:
        """The Node, so that the API server finds us."""
        api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        port = self._listening.getsockname()[1]
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        api.patch("v1", "Node", NODE, {"status": status}, subresource="status")

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        port = int(request.query.get("port") or request.query["ports"])
        self.forwarded.append((request.match_info["pod"], port))
        websocket = web.WebSocketResponse(protocols=[_PROTOCOL])
        await websocket.prepare(request)
        for channel in (0, 1):
            await websocket.send_bytes(bytes([channel]) + struct.pack("<H", port))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as why:
            await websocket.send_bytes(b"\x01" + f"an error occurred forwarding: {why}".encode())
            await websocket.close()
            return websocket
        sending = spawn(_send(reader, websocket), name="forwarded port")
        try:
            async for message in websocket:
                if message.type is WSMsgType.BINARY and message.data[:1] == b"\x00":
                    writer.write(message.data[1:])
        finally:
            sending.cancel()
            writer.close()
        return websocket


async def _send(reader: asyncio.StreamReader, websocket: web.WebSocketResponse) -> None:
    while data := await reader.read(65_536):
        await websocket.send_bytes(b"\x00" + data)
    await websocket.close()


def operator_pod(name: str, port: int, lease: str, **spec: Any) -> dict[str, Any]:
    """The Pod of an operator, as far as people look for it."""
    arguments = [f"--lease={lease}", f"--usage-port={port}"]
    container = {"name": "operator", "image": "none", "args": arguments}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/component": "operator"}},
        "spec": {"nodeName": NODE, "containers": [container], **spec},
    }
