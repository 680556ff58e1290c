"""Many data-plane pods that are only streams: each with a real token, over TLS, from one thread.

Used by the fault tests against a real operator. What a pod would serve is what the manifest it was
sent last names; units are fetched once for all, because only the operator is under test.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from portico_fleet import Fleet
from portico_ir.codec import digest
from portico_ir.model import IR_VERSION
from portico_ir.stream import (
    PATH,
    UNITS_PATH,
    Acknowledgement,
    Follow,
    Hello,
    Offer,
    content_digest,
    decode_from_operator,
    encode_frame,
    manifest_of,
)
from portico_processes import OperatorProcess, wait_until

WRITERS = 8


def answered(operator: OperatorProcess, authority: Path, path: str, token: str) -> tuple[int, str]:
    """Status and text of a plain GET at the operator's stream port."""
    host, _, port = operator.address.rpartition(":")
    context = ssl.create_default_context(cafile=str(authority))
    connection = http.client.HTTPSConnection(host, int(port), timeout=30, context=context)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class StreamPods:
    """The streams of pods with these names."""

    def __init__(self, fleet: Fleet, operator: OperatorProcess, names: Sequence[str]) -> None:
        self._operator = operator
        self._authority = fleet.authority()
        self._fleet = fleet
        self._names = tuple(names)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stream pods", daemon=True)
        self._over = asyncio.Event()
        self._tokens: dict[str, str] = {}
        self._offers: dict[str, dict[str, str]] = {}
        """Pod to the units of the manifest that it was sent last."""
        self._units: dict[str, str] = {}
        """Digest to what the unit says."""

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(WRITERS) as pool:
            files = pool.map(self._fleet.token, self._names)
            self._tokens = {n: f.read_text() for n, f in zip(self._names, files, strict=True)}
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def have_all(self, text: str) -> None:
        """Once every pod has been told of a configuration in which some unit says this."""

        def look() -> bool:
            offers = dict(self._offers)
            if len(offers) < len(self._names):
                return False
            wanted = {known for units in offers.values() for known in units.values()}
            for known in wanted - self._units.keys():
                self._units[known] = self._unit(known)
            return all(
                any(text in self._units[known] for known in units.values())
                for units in offers.values()
            )

        wait_until(look, f"every pod to have been told of {text!r}")

    def _unit(self, known: str) -> str:
        token = self._tokens[self._names[0]]
        return answered(self._operator, self._authority, f"{UNITS_PATH}{known}", token)[1]

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        context = ssl.create_default_context(cafile=str(self._authority))
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            pods = [asyncio.create_task(self._pod(session, name)) for name in self._names]
            await self._over.wait()
            for pod in pods:
                pod.cancel()
            await asyncio.gather(*pods, return_exceptions=True)
        # Over TLS a transport waits for the other side's goodbye, for longer than this loop lives;
        # what it leaves behind would be a warning in somebody else's test.
        left: Iterable[asyncio.Transport] = getattr(self._loop, "_transports", {}).values()
        for transport in list(left):
            transport.abort()
        await asyncio.sleep(0)

    async def _pod(self, session: aiohttp.ClientSession, name: str) -> None:
        headers = {"Authorization": f"Bearer {self._tokens[name]}"}
        url = f"https://{self._operator.address}{PATH}"
        async with session.ws_connect(url, headers=headers, heartbeat=30) as socket:
            await socket.send_bytes(encode_frame(Hello(ir_version=IR_VERSION, pod=name)))
            await socket.send_bytes(encode_frame(Follow()))
            async for message in socket:
                frame = decode_from_operator(message.data)
                if not isinstance(frame, Offer):
                    continue
                offered = manifest_of(frame)
                self._offers[name] = offered.units
                said = Acknowledgement(
                    digest=digest(bytes(frame.manifest)),
                    content=content_digest(offered),
                    marks=frame.marks,
                )
                await socket.send_bytes(encode_frame(said))
