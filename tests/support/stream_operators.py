"""Operators for tests of delivery: the real stream server with real certificates on loopback.

Only the TokenReview is made up (`FakeReviewer`); tests/cluster asks a real API server.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from portico_ir import codec
from portico_ir.leases import Exchange, Settlement
from portico_ir.model import IR_VERSION, Endpoint, EndpointSet, Manifest, Snapshot
from portico_ir.secrets import Redacted
from portico_ir.stream import AUDIENCE
from portico_operator.delivery.access import Access, Review, Unreachable
from portico_operator.delivery.authority import Authority, make_authority, make_serving
from portico_operator.delivery.server import StreamServer
from portico_operator.keeper import Keeper
from portico_operator.pods import PodState

ACCOUNT = "system:serviceaccount:portico:dataplane"
CLASS = "portico"


def token_of(
    pod: str = "pod-1",
    *,
    account: str = ACCOUNT,
    audience: str = AUDIENCE,
    expires_in: float = 3600,
    serial: int = 0,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A token as the API server would have signed it; `pod` is name and uid."""
    payload: dict[str, Any] = {
        "aud": [audience],
        "exp": time.time() + expires_in,
        "sub": account,
        "jti": str(serial),
        "kubernetes.io": {"namespace": "portico", "pod": {"name": pod, "uid": pod}},
        **(claims or {}),
    }
    parts = ({"alg": "RS256"}, payload, {"signature": "made up"})
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )


class FakeReviewer:
    """Answers as the API server would, as far as tokens of `token_of` go."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        """The API server cannot be reached."""
        self.denied: set[str] = set()
        """Pods whose tokens it no longer accepts."""

    async def review(self, token: Redacted, audience: str) -> Review:
        self.asked += 1
        if self.away:
            raise Unreachable("connection refused")
        part = token.reveal().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        pod = claims["kubernetes.io"]["pod"]["name"]
        if pod in self.denied:
            return Review(authenticated=False, error="pod was deleted")
        return Review(
            authenticated=True,
            username=claims["sub"],
            audiences=(audience,) if audience in claims["aud"] else (),
            pod_uid=pod,
            pod_name=pod,
        )


class FakeGrounds:
    """One class, and pods that are gone."""

    def __init__(self) -> None:
        self.classes = {ACCOUNT: CLASS}
        self.gone: set[str] = set()

    def class_of(self, service_account: str) -> str | None:
        return self.classes.get(service_account)

    def is_gone(self, pod_uid: str) -> bool:
        return pod_uid in self.gone


class RecordingMeasures:
    """Keeps every propagation."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def propagated(self, class_name: str, seconds: float) -> None:
        self.seconds.append(seconds)


class Operator:
    """One replica, on a port that stays its own over restarts."""

    def __init__(self, authority: Authority, *, port: int = 0, build: str = "test") -> None:
        self.reviewer = FakeReviewer()
        self.grounds = FakeGrounds()
        self.measures = RecordingMeasures()
        self.access = Access(self.reviewer, self.grounds, time.time)
        self.keeper = Keeper()
        self.server = StreamServer(self.access, build=build, measures=self.measures, settler=self)
        self.port = port
        now = dt.datetime.now(dt.UTC)
        self.tls = make_serving(authority, ["127.0.0.1", "localhost"], now).context()

    def certify(self, authority: Authority) -> None:
        """Serve a certificate of this authority from now on."""
        now = dt.datetime.now(dt.UTC)
        make_serving(authority, ["127.0.0.1", "localhost"], now).install(self.tls)

    # delivery.server.Settler

    def settle(self, class_name: str, pod_uid: str, exchange: Exchange) -> Settlement | None:
        return self.keeper.settle(class_name, pod_uid, exchange, time.time() * 1000)

    def keep(self, term: int) -> None:
        """Keep leases from now on, as one that was elected in this term; -1: no longer."""
        if term < 0:
            self.keeper.end()
        else:
            self.keeper.begin(term, (), time.time() * 1000)
        self.server.keep(term)

    async def start(self) -> Operator:
        sock = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = sock.getsockname()[1]
        await self.server.start([sock], self.tls)
        return self

    async def close(self) -> None:
        await self.server.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def live(self, *pods: str) -> None:
        """These pods are ready."""
        self.server.set_pods(CLASS, [PodState(pod, pod, True, False) for pod in pods])


def authority() -> Authority:
    """A new one."""
    return make_authority(dt.datetime.now(dt.UTC))


def write_token(path: Path, token: str) -> None:
    """Replace a token as kubelet does: in one step."""
    beside = path.with_suffix(".new")
    beside.write_text(token)
    beside.replace(path)


def publication(
    units: Mapping[str, bytes],
    *,
    marks: Mapping[str, str] | None = None,
    upstreams: Mapping[str, tuple[Endpoint, ...]] | None = None,
    ir_version: int = IR_VERSION,
) -> Snapshot:
    """A snapshot as the compiler hands it over."""
    return Snapshot(
        manifest=Manifest(
            ir_version=ir_version,
            units={unit: codec.digest(data) for unit, data in units.items()},
            marks=dict(marks or {}),
        ),
        units={unit: msgspec.Raw(data) for unit, data in units.items()},
        endpoints=EndpointSet(upstreams=dict(upstreams or {})),
    )
