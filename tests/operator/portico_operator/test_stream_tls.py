"""StreamTls: a certificate before anything listens, and one that pods can verify."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from typing import Any

from fake_kube import until
from portico_ir.secrets import Redacted
from portico_operator.delivery.access import Access, Review
from portico_operator.delivery.authority import Stored
from portico_operator.delivery.server import StreamServer
from portico_operator.stream_tls import StreamTls
from portico_operator.tasks import end, spawn


class Vault:
    """A vault in memory."""

    def __init__(self) -> None:
        self.stored = Stored()
        self.missing = True

    async def read(self) -> Stored:
        if self.missing:
            raise LookupError("the Secret is missing")
        return self.stored

    async def write(self, stored: Stored) -> Stored:
        self.stored = stored
        return stored


class Nobody:
    """Whoever asks is nobody."""

    async def review(self, token: Redacted, audience: str) -> Review:
        return Review(False)

    def class_of(self, service_account: str) -> str | None:
        return None

    def is_gone(self, pod_uid: str) -> bool:
        return False


async def test_a_stream_that_pods_can_verify(monkeypatch: Any) -> None:
    monkeypatch.setattr("portico_operator.stream_tls._SOON_S", 0.01)
    vault, nobody, leads = Vault(), Nobody(), [False]
    server = StreamServer(Access(nobody, nobody, time.time), build="test")
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    tls = StreamTls(server, vault, ["operator.n.svc"], listening, lambda: leads[0])
    task = spawn(tls.run(), name="tls")
    try:
        await asyncio.sleep(0)
        assert not tls.started
        vault.missing = False
        leads[0] = True
        await until(lambda: tls.started)
        context = ssl.create_default_context(cadata=vault.stored.bundle)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="operator.n.svc"
        )
        writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 401")
        writer.close()
        await writer.wait_closed()
    finally:
        await end((task,))
