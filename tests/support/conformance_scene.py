"""Everything a conformance case speaks of, running: backends, issuers, and the gateway itself.

Used by conformance_execution. The gateway is the engine of `portico dev`, in this process, over
real sockets; its configuration comes from the product's importer and compiler.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import quote

from msgspec import structs

from conformance_backends import BackendServer
from conformance_cases import Backend, Exchange, Stage
from conformance_issuers import IssuerServer, sign
from conformance_manifests import API, CONNECTIONS, NAMESPACE, objects_of
from portico_compiler.compiler import compile as compile_world
from portico_compiler.world import Settings as CompilerSettings
from portico_compiler.world import SourceDocument, World
from portico_dataplane.app import Gateway
from portico_dataplane.settings import Settings
from portico_dataplane.telemetry.meters import StageMeters

BASE_DOMAIN = "localhost"

_PLACEHOLDER = re.compile(r"\{(backend|issuer|token|connection):([\w.-]+)(\|urlencoded)?\}")


class Scene:
    """A case with everything around it running."""

    def __init__(self, case: Exchange) -> None:
        backends = dict(case.backends)
        if case.protocol == "websocket":
            backends[CONNECTIONS] = Backend(kind="lambda", returns={"statusCode": 200})
        self.case = case
        self.backends = {name: BackendServer(name, each) for name, each in backends.items()}
        self.issuers = {name: IssuerServer(name, each) for name, each in case.issuers.items()}
        self.port = 0
        self.notes: list[str] = []
        """What the importer, compiler and data plane said: shown when the case fails."""

    @property
    def authority(self) -> str:
        """Host and port of the API's default endpoint, or its domain, as a client writes them."""
        if self.case.domain is not None:
            return self.case.domain.name
        return f"{API}.{NAMESPACE}.{BASE_DOMAIN}:{self.port}"

    @property
    def prefix(self) -> str:
        """What stands before every path of the case: named stages are the first segment."""
        name = self.case.stage.name
        return "" if name == "$default" or self.case.domain is not None else f"/{name}"

    def filled(self, value: Any, connection: Callable[[str], str] | None = None) -> Any:
        """A value of the case with its placeholders written out."""
        if isinstance(value, str):
            return _PLACEHOLDER.sub(lambda found: self._named(found, connection), value)
        if isinstance(value, list):
            return [self.filled(each, connection) for each in value]
        if isinstance(value, dict):
            return {
                self.filled(key, connection): self.filled(each, connection)
                for key, each in value.items()
            }
        return value

    def _named(self, found: re.Match[str], connection: Callable[[str], str] | None) -> str:
        kind, name = found[1], found[2]
        if kind == "backend" and name in self.backends:
            backend = self.backends[name]
            return name if backend.is_function else backend.authority
        if kind == "issuer" and name in self.issuers:
            return self.issuers[name].url
        if kind == "token" and name in self.case.tokens:
            token = self.case.tokens[name]
            return sign(token, self.issuers[token.issuer].url, self.filled(token.claims))
        if kind == "connection" and connection is not None:
            return quote(connection(name), safe="") if found[3] else connection(name)
        return found[0]

    def snapshot_of(self) -> Any:
        """The case's configuration, compiled."""
        case = self.case
        stage = case.stage
        filled = structs.replace(
            case,
            api=self.filled(case.api),
            stage=Stage(
                name=stage.name,
                variables=self.filled(stage.variables),
                method_settings=stage.method_settings,
                canary=stage.canary,
            ),
        )
        functions = {
            name: {"url": f"http://{backend.authority}"}
            for name, backend in self.backends.items()
            if backend.is_function
        }
        objects, problems = objects_of(filled, functions)
        documents = [SourceDocument(each, case.file, i) for i, each in enumerate(objects)]
        settings = CompilerSettings(base_domain=BASE_DOMAIN, egress_open=True)
        world, refused = World.from_documents(documents, settings)
        compiled = compile_world(world)
        found = [*problems, *refused, *compiled.report.problems]
        self.notes += [str(problem) for problem in found]
        return compiled.snapshot


class _NoLines:
    def write(self, line: str) -> None:
        """Conformance looks at answers, not at logs."""


@contextlib.asynccontextmanager
async def arranged(case: Exchange) -> AsyncIterator[Scene]:
    """The case's scene; everything is stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:
        scene = Scene(case)
        servers: list[BackendServer | IssuerServer] = [
            *scene.backends.values(),
            *scene.issuers.values(),
        ]
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        snapshot = scene.snapshot_of()
        gateway = Gateway(
            Settings(host="127.0.0.1", port=0), meters=StageMeters(), lines=_NoLines()
        )
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        applied = await gateway.apply(snapshot)
        scene.notes += [f"refused {unit}: {why}" for unit, why in applied.refused.items()]
        scene.port = gateway.port
        yield scene
