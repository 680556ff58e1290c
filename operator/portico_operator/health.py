"""Health: `/livez`, `/readyz` and `/metrics` of the operator, on aiohttp.

Started by `app`. Promises: ready once the first configuration can be had from this replica; live
as long as the event loop answers and no part of the operator has ended.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable

from aiohttp import web

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class HealthServer:
    """Three paths on one socket; what they say is asked each time."""

    def __init__(
        self,
        *,
        dead: Callable[[], str],
        unready: Callable[[], str],
        metrics: Callable[[], bytes],
    ) -> None:
        """`dead` and `unready` give reasons; empty means fine."""
        app = web.Application()
        app.router.add_get("/livez", _probe(dead))
        app.router.add_get("/readyz", _probe(unready))

        async def exposition(_: web.Request) -> web.Response:
            return web.Response(body=metrics(), headers={"Content-Type": _TEXT})

        app.router.add_get("/metrics", exposition)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, listening: socket.socket) -> None:
        """Serve on a socket that is bound."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()


def _probe(reason: Callable[[], str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.Response:
        why = reason()
        return web.Response(status=503 if why else 200, text=f"{why or 'ok'}\n")

    return answer
