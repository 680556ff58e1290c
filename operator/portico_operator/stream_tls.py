"""StreamTls: the CA tended, this replica's certificate made and renewed, the stream server served.

Run by `app`. Only the Lease holder tends; every replica signs a certificate for itself with the CA
that is stored. Promises: no stream before there is a certificate; a renewal needs no restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from portico_operator.delivery.authority import (
    Conflict,
    Custodian,
    Serving,
    Vault,
    make_serving,
    needs_serving,
)
from portico_operator.delivery.server import StreamServer

_log = logging.getLogger(__name__)
_SOON_S = 1.0
_LATER_S = 30.0


class StreamTls:
    """The stream server's life."""

    def __init__(
        self,
        server: StreamServer,
        vault: Vault,
        names: Sequence[str],
        listening: socket.socket,
        leads: Callable[[], bool],
    ) -> None:
        self._server = server
        self._vault = vault
        self._names = tuple(names)
        self._listening = listening
        self._leads = leads
        self._custodian = Custodian(vault, _now)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._serving: Serving | None = None
        self.started = False
        """Pods can connect."""

    async def run(self) -> None:
        """Until cancelled."""
        complained = ""
        try:
            while True:
                try:
                    await self._step()
                    complained = ""
                except Conflict:
                    _log.info("another replica tends the stream's CA")
                except Exception as why:  # whatever it is, the next step may do better
                    if str(why) != complained:
                        _log.warning("no certificate for the stream yet: %s", why)
                        complained = str(why)
                await asyncio.sleep(_LATER_S if self.started else _SOON_S)
        finally:
            await self._server.close()
            if not self.started:
                self._listening.close()

    async def _step(self) -> None:
        if self._leads():
            await self._custodian.tend()
        stored = await self._vault.read()
        now = _now()
        if needs_serving(stored, self._serving, now) and stored.current is not None:
            self._serving = await asyncio.to_thread(make_serving, stored.current, self._names, now)
            await asyncio.to_thread(self._load, self._serving)
        if self._serving is not None and not self.started:
            await self._server.start((self._listening,), self._context)
            self.started = True

    def _load(self, serving: Serving) -> None:
        """Python takes certificates from files only; these exist for as long as it reads them."""
        file, path = tempfile.mkstemp(prefix="portico-", suffix=".pem")  # 0600
        try:
            with os.fdopen(file, "w") as text:
                text.write(serving.certificate + serving.key.reveal())
            self._context.load_cert_chain(path)
        finally:
            with contextlib.suppress(OSError):
                Path(path).unlink()


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
