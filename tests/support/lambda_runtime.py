"""A Lambda service on loopback: the Invoke API in front of real `awslambdaric` processes.

Functions are modules of a folder, run by the runtime interface client that AWS ships in its own
images; between them and the Invoke API stands the Runtime API (long poll for the next invocation,
response, error, init error). A process that exits or takes too long is replaced at the next call,
as Lambda replaces its sandboxes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from aiohttp import web

STARTS_WITHIN: Final = 60.0
"""Seconds; only a hang takes as long."""
_ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function:{}"


class Result(NamedTuple):
    """How an invocation ended."""

    body: bytes
    function_error: str


class Call(NamedTuple):
    """What the Invoke API received."""

    function: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def _failed(kind: str, message: str) -> Result:
    return Result(json.dumps({"errorType": kind, "errorMessage": message}).encode(), "Unhandled")


class _Invocation(NamedTuple):
    id: str
    event: bytes
    trace: str
    result: asyncio.Future[Result]


class _Function:
    """One function: its queue, its Runtime API, its process."""

    def __init__(self, name: str, handler: str, folder: Path, timeout: float) -> None:
        self.name = name
        self._handler = handler
        self._folder = folder
        self._timeout = timeout
        self._queue: asyncio.Queue[_Invocation] = asyncio.Queue()
        self._pending: dict[str, _Invocation] = {}
        self._address = ""
        self._process: asyncio.subprocess.Process | None = None
        self._starting: asyncio.Task[asyncio.subprocess.Process] | None = None
        """One start at a time, and to its end although whoever asked for it left."""
        self.started = 0
        """How many processes there have been."""

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        runtime = "/2018-06-01/runtime"
        app.router.add_get(f"{runtime}/invocation/next", self._next)
        app.router.add_post(f"{runtime}/invocation/{{id}}/response", self._response)
        app.router.add_post(f"{runtime}/invocation/{{id}}/error", self._error)
        app.router.add_post(f"{runtime}/init/error", self._init_error)
        return app

    def serve_at(self, address: str) -> None:
        self._address = address

    async def invoke(self, event: bytes, trace: str) -> Result:
        """Hand the event to a live process and wait for what it says."""
        process = await self._running()
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        invocation = _Invocation(str(uuid.uuid4()), event, trace, result)
        self._pending[invocation.id] = invocation
        self._queue.put_nowait(invocation)
        exited = asyncio.ensure_future(process.wait())
        try:
            ends: set[asyncio.Future[Any]] = {result, exited}
            await asyncio.wait(ends, timeout=self._timeout, return_when=asyncio.FIRST_COMPLETED)
            if result.done():
                return result.result()
            if exited.done():
                status = exited.result()
                text = f"Error: Runtime exited with error: exit status {status}"
                return _failed("Runtime.ExitError", text)
            await self.stop()
            return _failed("Sandbox.Timedout", f"Task timed out after {self._timeout:.2f} seconds")
        finally:
            exited.cancel()
            with suppress(asyncio.CancelledError):
                await exited
            result.cancel()
            self._pending.pop(invocation.id, None)

    async def stop(self) -> None:
        """End the process."""
        if self._starting is not None:
            await asyncio.wait([self._starting])
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def _running(self) -> asyncio.subprocess.Process:
        process = self._process
        if process is not None and process.returncode is None:
            return process
        if self._starting is None:
            self._starting = asyncio.ensure_future(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> asyncio.subprocess.Process:
        while not self._queue.empty():  # for a process that is gone
            self._queue.get_nowait()
        environment = {
            "AWS_LAMBDA_FUNCTION_NAME": self.name,
            "AWS_LAMBDA_RUNTIME_API": self._address,
            "AWS_REGION": "us-east-1",
            "LAMBDA_TASK_ROOT": str(self._folder),
            "PATH": os.environ.get("PATH", ""),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(self._folder),
        }
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "awslambdaric",
                self._handler,
                cwd=self._folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
        finally:
            self._starting = None
        self.started += 1
        return process

    # --- Runtime API ------------------------------------------------------------------------

    async def _next(self, _: web.Request) -> web.Response:
        while True:
            invocation = await self._queue.get()
            if invocation.id in self._pending:
                break
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.id,
            "Lambda-Runtime-Deadline-Ms": "4102444800000",
            "Lambda-Runtime-Invoked-Function-Arn": _ARN.format(self.name),
            "Lambda-Runtime-Trace-Id": invocation.trace,
        }
        return web.Response(body=invocation.event, content_type="application/json", headers=headers)

    async def _response(self, request: web.Request) -> web.Response:
        return self._ended(request.match_info["id"], Result(await request.read(), ""))

    async def _error(self, request: web.Request) -> web.Response:
        return self._ended(request.match_info["id"], Result(await request.read(), "Unhandled"))

    async def _init_error(self, request: web.Request) -> web.Response:
        result = Result(await request.read(), "Unhandled")
        for invocation_id in list(self._pending):
            self._ended(invocation_id, result)
        return web.json_response({"status": "OK"}, status=202)

    def _ended(self, invocation_id: str, result: Result) -> web.Response:
        invocation = self._pending.get(invocation_id)
        if invocation is not None and not invocation.result.done():
            invocation.result.set_result(result)
        return web.json_response({"status": "OK"}, status=202)


class LambdaService:
    """`async with LambdaService(folder, {"name": "module.handler"}) as service`."""

    def __init__(
        self, folder: Path, functions: Mapping[str, str], *, timeout: float = STARTS_WITHIN
    ) -> None:
        self._functions = {
            name: _Function(name, handler, folder, timeout) for name, handler in functions.items()
        }
        self._stack = AsyncExitStack()
        self.port = 0
        """Of the Invoke API."""
        self.calls: list[Call] = []

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/2015-03-31/functions/{name}/invocations", self._invoke)
        self.port = await self._serve(app)
        for function in self._functions.values():
            port = await self._serve(function.application())
            function.serve_at(f"127.0.0.1:{port}")
            # Processes end first: their long polls hold the servers up.
            self._stack.push_async_callback(function.stop)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Where the Invoke API answers."""
        return f"http://127.0.0.1:{self.port}"

    def processes(self, name: str) -> int:
        """How many processes a function has had."""
        return self._functions[name].started

    async def _serve(self, app: web.Application) -> int:
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return int(runner.addresses[0][1])

    async def _invoke(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = await request.read()
        self.calls.append(Call(name, dict(request.headers), body))
        function = self._functions.get(name)
        if function is None:
            return web.json_response(
                {"Type": "User", "Message": f"Function not found: {_ARN.format(name)}"},
                status=404,
                headers={"X-Amzn-ErrorType": "ResourceNotFoundException"},
            )
        try:
            json.loads(body)
        except ValueError:
            return web.json_response(
                {"Type": "User", "message": "Could not parse request body into json"},
                status=400,
                headers={"X-Amzn-ErrorType": "InvalidRequestContentException"},
            )
        result = await function.invoke(body, request.headers.get("X-Amzn-Trace-Id", ""))
        headers = {"X-Amz-Executed-Version": "$LATEST"}
        if result.function_error:
            headers["X-Amz-Function-Error"] = result.function_error
        return web.Response(body=result.body, content_type="application/json", headers=headers)
