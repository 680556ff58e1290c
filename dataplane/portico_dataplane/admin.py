"""The admin port: probes, metrics, a redacted look at the configuration, and a broom for caches.

Served by the supervisor, and by `portico dev` in its one process; both are an `AdminSource`.
Promises: on an address that others can reach it answers `/livez /readyz /metrics` and nothing
else (design.md §13); what `/config` shows holds no secret. aiohttp, because it is not the hot
path; never on the traffic port.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from portico_dataplane.telemetry.exposition import render
from portico_dataplane.telemetry.readings import Scrape
from portico_ir.codec import Undecodable, decode_unit
from portico_ir.model import Snapshot
from portico_ir.secrets import SHOWN, Redacted

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as `/config` shows it."""

    name: str
    pid: int | None
    serves: bool
    digest: str
    """Of the manifest it last acknowledged."""
    refused: dict[str, str] = field(default_factory=dict)
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigView:
    """What should serve, and who serves what."""

    digest: str
    loaded_at: float
    """Unix time of the last change that every worker acknowledged; 0: none."""
    snapshot: Snapshot | None
    workers: tuple[WorkerView, ...] = ()


class AdminSource(Protocol):
    """Whose admin port it is."""

    def unready(self) -> str:
        """Why traffic should go elsewhere; empty: ready."""
        ...

    async def scrape(self) -> Scrape:
        """Numbers of this moment."""
        ...

    def config(self) -> ConfigView:
        """Configuration of this moment."""
        ...

    def flush(self, authorizer: str) -> None:
        """Forget what an authorizer (namespace/name; empty: every one) has answered."""
        ...


class AdminServer:
    """The admin application on sockets that are already listening."""

    def __init__(
        self, source: AdminSource, more: Callable[[web.Application], None] = lambda _: None
    ) -> None:
        """`more` adds what else is answered, behind `private` where it is not for others."""
        app = admin_app(source)
        more(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on TCP and Unix sockets alike."""
        await self._runner.setup()
        for sock in sockets:
            await web.SockSite(self._runner, sock).start()

    async def close(self) -> None:
        """Stop serving."""
        await self._runner.cleanup()


def admin_app(source: AdminSource) -> web.Application:
    """The application; what is private it decides by connection, so one app serves any socket."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        reason = source.unready()
        return web.Response(status=503 if reason else 200, text=f"{reason or 'ok'}\n")

    async def metrics(request: web.Request) -> web.Response:
        scrape = await source.scrape()
        accept = request.headers.get("Accept", "")
        coding = request.headers.get("Accept-Encoding", "")
        shown = await asyncio.to_thread(render, scrape, accept, coding)
        headers = {"Content-Type": shown.content_type, "Vary": "Accept, Accept-Encoding"}
        if shown.gzipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=shown.body, headers=headers)

    async def config(request: web.Request) -> web.Response:
        if not _is_private(request):
            # As if it did not exist: a stranger learns nothing from the difference.
            return web.Response(status=404, text="404: Not Found")
        body = await asyncio.to_thread(_config_document, source.config())
        return web.Response(body=body, content_type="application/json")

    async def flush(request: web.Request) -> web.Response:
        source.flush(request.query.get("name", ""))
        return web.Response(text="ok\n")

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/config", config)
    app.router.add_post("/authorizers/flush", private(flush))
    return app


def private(handle: Handler) -> Handler:
    """For this machine only, and never for a page that a browser shows."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        # A page may send a POST anywhere, but never without saying where it comes from.
        if not _is_private(request) or "Origin" in request.headers:
            return web.Response(status=404, text="404: Not Found")
        return await handle(request)

    return guarded


def _is_private(request: web.Request) -> bool:
    """Whether both ends of the connection are this machine, and a browser was not lured here."""
    transport = request.transport
    if transport is None:
        return False
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        return True
    # Both ends: with route_localnet a packet from outside may be addressed to 127.0.0.1.
    ends = (transport.get_extra_info("sockname"), transport.get_extra_info("peername"))
    if not all(end and _is_loopback(str(end[0])) for end in ends):
        return False
    # A page whose name was rebound to 127.0.0.1 still sends its own name (DNS rebinding).
    host = request.host.rpartition(":")[0] if _PORT.search(request.host) else request.host
    return host.lower() == "localhost" or _is_loopback(host.strip("[]"))


_PORT: Final = re.compile(r":\d*$")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- /config ----------------------------------------------------------------------------------

_SECRET_NAME: Final = re.compile(
    r"authoriz|cookie|token|secret|passw|credential|api[-_]?key|private[-_]?key", re.IGNORECASE
)
_USER_INFO: Final = re.compile(r"(?<=://)[^/?#@\s]+(?=@)")


def _config_document(view: ConfigView) -> bytes:
    document: dict[str, Any] = {
        "digest": view.digest,
        "loadedAt": view.loaded_at,
        "workers": [
            {
                "name": worker.name,
                "pid": worker.pid,
                "serves": worker.serves,
                "digest": worker.digest,
                "refused": worker.refused,
                "restarts": worker.restarts,
            }
            for worker in view.workers
        ],
        "manifest": None,
    }
    if view.snapshot is not None:
        document["manifest"] = msgspec.to_builtins(view.snapshot.manifest)
        document["endpoints"] = msgspec.to_builtins(view.snapshot.endpoints)
        document["units"] = {
            unit: redacted_unit(encoded) for unit, encoded in view.snapshot.units.items()
        }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def redacted_unit(encoded: bytes | msgspec.Raw) -> Any:
    """A unit as plain data without its secrets; what cannot be decoded is not shown at all."""
    try:
        unit = decode_unit(encoded)
    except Undecodable as error:
        return {"undecodable": str(error)}
    return _redacted(msgspec.to_builtins(unit, enc_hook=_hide))


def _hide(value: object) -> str:
    if isinstance(value, Redacted):
        return SHOWN
    raise NotImplementedError(f"not part of the contract: {type(value).__name__}")


def _redacted(value: Any) -> Any:
    """Also what users put where the contract expects no secret.

    That is user info in URLs, and literals for headers and variables whose name tells:
    `integration.request.header.Authorization: "'Bearer …'"` is common.
    """
    if isinstance(value, str):
        return _USER_INFO.sub(SHOWN, value)
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    if not isinstance(value, dict):
        return value
    shown = {key: _redacted(item) for key, item in value.items()}
    source = shown.get("source")
    if isinstance(source, dict) and "value" in source and _tells(value.get("name")):
        shown["source"] = {**source, "value": SHOWN}
    variables = shown.get("variables")
    if isinstance(variables, dict):
        shown["variables"] = {k: SHOWN if _tells(k) else v for k, v in variables.items()}
    return shown


def _tells(name: object) -> bool:
    return isinstance(name, str) and _SECRET_NAME.search(name) is not None
