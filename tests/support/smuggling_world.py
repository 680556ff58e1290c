"""The gateway as a process, and what stands behind it: a recorder, or nginx in front of one.

Used by tests/integration/test_smuggling.py. Promises: `settle` returns when whatever was sent
before has arrived, or never will; requests that nginx did not read whole are told apart from those
that it did.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final, Protocol, Self

from engine import snapshot
from portico_ir.codec import encode
from portico_ir.model import (
    ApiKind,
    ApiUnit,
    DefaultMatch,
    Endpoint,
    GatewayUnit,
    HttpProxy,
    Match,
    RestSegments,
    Route,
    RoutesUnit,
    ServiceTarget,
    Snapshot,
    Stage,
)
from portico_processes import Running, wait_until
from raw_http import RawClient
from raw_upstream import Exchange, Upstream
from real_nginx import Nginx
from wire_rules import HTTP, REST, get

SETTLED: Final = b"/settled"
BEHIND: Final = b"/behind"
OWN: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nbehind"
"""The upstream's answer to the request behind a row; to no other."""
_READ_IN_PART: Final = (400, 408, 499)
"""What nginx notes for a request whose sender went away."""


class Behind(Protocol):
    """What the gateway of a world sends to."""

    upstream: Upstream
    """Records what arrives in the end."""
    port: int


class Alone:
    """The recorder itself."""

    def __init__(self) -> None:
        self.upstream = Upstream()
        self.port = self.upstream.port


class World:
    """One gateway process and what it sends to. `rest.test` and `kept.test` are REST APIs, the
    second keeps the client's Host; `http.test` is an HTTP API. All go on by the client's path."""

    def __init__(self, folder: Path, behind: Behind) -> None:
        self._folder = folder
        self._behind = behind
        self.upstream = behind.upstream
        self.upstream.scripts[BEHIND] = (OWN,)
        self.port = 0

    process: Running

    def __enter__(self) -> Self:
        file = self._folder / "snapshot.json"
        file.write_bytes(encode(_snapshot(self._behind.port)))
        command = (
            *(sys.executable, "-m", "portico_dataplane", "--snapshot", str(file)),
            *("--host", "127.0.0.1", "--port", "0", "--tls-port", "off", "--admin-port", "0"),
            *("--drain-delay", "0", "--workers", "1", "--access-log", "off"),
        )
        self.process = Running("gateway", command, self._folder)
        self.process.saw("serving")
        address: str = self.process.saw("listening")["traffic"][0]
        self.port = int(address.rpartition(":")[2])
        return self

    def __exit__(self, *exc: object) -> None:
        assert self.process.end() == 0
        self.process.read()
        assert not self.process.noise, self.process.noise

    def forget(self) -> None:
        """Begin a new record."""
        self.upstream.forget()

    def settle(self) -> None:
        """A whole request, through the same worker and to the same end, after all others."""
        with RawClient(self.port) as client:
            client.send(get(SETTLED, b"Connection: close"))
            answer = client.read_answer()
            assert answer.status == 200, answer

    def arrived(self) -> list[Exchange]:
        """What came of the row, in order."""
        assert not self.upstream.garbage, f"no request: {self.upstream.garbage}"
        return [one for one in self.upstream.exchanges if one.target != SETTLED]


class NginxWorld(World):
    """The same, with an nginx that passes on."""

    def __init__(self, folder: Path, nginx: Nginx) -> None:
        super().__init__(folder, nginx)
        self._nginx = nginx
        self._offset = 0

    def forget(self) -> None:
        super().forget()
        self._offset = len(self._nginx.log())

    def read_by_nginx(self) -> tuple[list[bytes], list[bytes]]:
        """Request lines since `forget`, `settle` apart: those read whole, and those it was left
        with in part, or could not read."""
        found: list[tuple[int, bytes]] = []

        def settled() -> bool:
            found[:] = self._nginx.log()[self._offset :]
            return any(SETTLED in line for _, line in found)

        wait_until(settled, "nginx to note the last request")
        ours = [(status, line) for status, line in found if SETTLED not in line]
        return (
            [line for status, line in ours if status not in _READ_IN_PART],
            [line for status, line in ours if status in _READ_IN_PART],
        )


def _snapshot(port: int) -> Snapshot:
    upstream = "test/upstream:80"
    units = {
        "gateway": GatewayUnit(egress_open=True),
        **_api(ApiKind.REST, REST, upstream),
        **_api(ApiKind.REST, b"kept.test", upstream, kept=True),
        **_api(ApiKind.HTTP, HTTP, upstream),
    }
    return snapshot(units, {upstream: (Endpoint(host="127.0.0.1", port=port),)})


def _api(
    kind: ApiKind, host: bytes, upstream: str, *, kept: bool = False
) -> dict[str, ApiUnit | RoutesUnit]:
    name = host.decode().split(".")[0]
    folder = "RestApi" if kind is ApiKind.REST else "HttpApi"
    api, shard = f"api/test/{folder}/{name}", f"routes/test/{folder}/{name}/*/0"
    matches: dict[str, Match] = {"$default": DefaultMatch()}
    if kind is ApiKind.REST:
        paths = ("/", "/{proxy+}")
        matches = {f"ANY {path}": RestSegments(method="ANY", path=path) for path in paths}
    integration = HttpProxy(
        targets=(ServiceTarget(upstream=upstream, host="upstream.test"),), preserve_host=kept
    )
    routes = tuple(
        Route(key=key, match=match, integration=integration) for key, match in matches.items()
    )
    unit = ApiUnit(
        uid=f"uid-{name}",
        api_id=f"{name:x<10}",
        kind=kind,
        name=name,
        namespace="test",
        hosts=(host.decode(),),
        stages=(Stage(name="$default", shards=(shard,)),),
    )
    return {api: unit, shard: RoutesUnit(api=api, routes=routes)}
