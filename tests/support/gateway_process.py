"""The gateway as its users start it: `python -m portico_dataplane`, watched by its own log.

Ports are left to the system and read from the log, so that tests run beside each other; tests
wait for log records and for answers, never for time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from portico_ir.codec import digest, encode
from portico_ir.model import (
    IR_VERSION,
    AccessLog,
    ApiKind,
    ApiUnit,
    GatewayUnit,
    HttpProxy,
    HttpSegments,
    Manifest,
    Route,
    RoutesUnit,
    Snapshot,
    Stage,
    UrlTarget,
)

HOST = "shop.default.localhost"


def shop(
    upstream: str, *paths: str, log_format: str = "", refused: str = "", detailed: bool = False
) -> bytes:
    """A snapshot file: one HTTP API whose `paths` all go to `upstream`."""
    stage = Stage(
        name="$default",
        shards=("routes/default/HttpApi/shop/*/0",),
        access_log=AccessLog(format=log_format) if log_format else None,
        detailed_metrics=("*",) if detailed else (),
    )
    api = ApiUnit(
        uid="uid-shop",
        api_id="abcdefghij",
        kind=ApiKind.HTTP,
        name="shop",
        namespace="default",
        hosts=(HOST,),
        stages=(stage,),
    )
    routes = RoutesUnit(
        api="api/default/HttpApi/shop",
        routes=tuple(
            Route(
                key=f"GET {path}",
                match=HttpSegments(method="GET", path=path),
                integration=HttpProxy(targets=(UrlTarget(url=upstream, append_path=True),)),
            )
            for path in sorted(paths)
        ),
    )
    units = {
        "gateway": encode(GatewayUnit(egress_open=True)),
        "api/default/HttpApi/shop": encode(api),
        "routes/default/HttpApi/shop/*/0": encode(routes),
    }
    if refused:
        units[refused] = b'{"unit":"unheard of"}'
    manifest = Manifest(
        ir_version=IR_VERSION, units={unit: digest(data) for unit, data in units.items()}
    )
    return encode(
        Snapshot(manifest=manifest, units={unit: msgspec.Raw(data) for unit, data in units.items()})
    )


class GatewayProcess:
    """A running gateway."""

    def __init__(self, process: Process, options: tuple[str, ...] = ()) -> None:
        self.process = process
        self.options = options
        self.records: list[dict[str, Any]] = []
        self.noise: list[str] = []
        """Lines of standard error that are no records; there should be none."""
        self.stdout = b""
        self._news = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read_log(), name="stderr"),
            asyncio.create_task(self._read_stdout(), name="stdout"),
        ]

    @classmethod
    async def start(cls, snapshot: Path | str, *options: str, **environ: str) -> GatewayProcess:
        """Started on a file, not yet ready."""
        return await cls.launch("--snapshot", str(snapshot), *options, **environ)

    @classmethod
    async def launch(cls, *options: str, **environ: str) -> GatewayProcess:
        """Started, not yet ready."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "portico_dataplane"),
            *("--host", "127.0.0.1", "--port", "0", "--admin-port", "0", "--drain-delay", "0"),
            *options,
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, **environ},
            start_new_session=True,
        )
        return cls(process, options)

    async def _read_log(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.records.append(json.loads(line))
            except ValueError:
                self.noise.append(line.decode().rstrip("\n"))
            self._news.set()

    async def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(65536):
            self.stdout += data
            self._news.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        """Until something on standard output or in the log makes it true."""
        async with asyncio.timeout(60):
            while not reached():
                if all(task.done() for task in self._readers):
                    raise AssertionError(f"the gateway ended: {self.noise} {self.records[-3:]}")
                self._news.clear()
                await self._news.wait()

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Records with this message."""
        return [record for record in self.records if record["message"] == message]

    async def saw(self, message: str, times: int = 1) -> dict[str, Any]:
        """The latest record with this message, once there are so many."""
        await self.until(lambda: len(self.logged(message)) >= times)
        return self.logged(message)[-1]

    async def serving(self) -> GatewayProcess:
        """Once every worker serves the first snapshot."""
        await self.saw("serving")
        return self

    @property
    def port(self) -> int:
        """Traffic port."""
        return int(self.logged("listening")[0]["traffic"][0].rpartition(":")[2])

    @property
    def admin(self) -> str:
        """URL of the admin port."""
        return f"http://{self.logged('listening')[0]['admin'][0]}"

    async def get(self, path: str) -> tuple[int, str, dict[str, str]]:
        """A request on a connection of its own."""
        return await fetch(f"http://127.0.0.1:{self.port}{path}", HOST)

    async def ask(self, path: str) -> tuple[int, str]:
        """A question to the admin port."""
        return (await fetch(f"{self.admin}{path}"))[:2]

    async def workers(self) -> list[int]:
        """Process ids of the workers."""
        config = json.loads((await self.ask("/config"))[1])
        return [worker["pid"] for worker in config["workers"]]

    def signal(self, name: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(name)

    async def ended(self) -> int:
        """Its exit code, once everything it wrote has been read."""
        async with asyncio.timeout(60):
            await asyncio.gather(*self._readers)
            return await self.process.wait()

    async def kill(self) -> None:
        """End it whatever it does."""
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()


async def fetch(url: str, host: str = "") -> tuple[int, str, dict[str, str]]:
    """Status, text and headers."""
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, headers={"Host": host} if host else {}) as response,
    ):
        return response.status, await response.text(), dict(response.headers)
