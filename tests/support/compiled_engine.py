"""The real engine on what the real compiler makes of manifests.

For tests of a feature from its manifest to the wire, without a cluster and without processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

import worlds
from portico_compiler import Memo
from portico_ir.model import Snapshot
from raw_http import Answer, RawClient
from serving import Serving

TODAY = "20261123"


class CompiledEngine(Serving):
    """A gateway that serves manifests; `backends`: Service to URL, as portico.dev.yaml has them."""

    def __init__(self, text: str, backends: Mapping[str, str], **settings: Any) -> None:
        super().__init__({}, **settings)
        self._backends = dict(backends)
        self._memo = Memo()
        self._sequence = 0
        self._text = text

    def serve(self, text: str) -> None:
        """Serve these manifests from now on."""
        self._text = text
        applied = self.run(self.gateway.apply(self.snapshot({})))
        assert not applied.refused, applied.refused

    def snapshot(self, units: object, endpoints: object = ()) -> Snapshot:
        """Of the manifests."""
        world = {"today": TODAY, "backends": self._backends, "egress_open": True}
        self.compiled = worlds.compiled(self._text, self._memo, **world)
        self._sequence += 1
        made = self.compiled.snapshot
        numbered = msgspec.structs.replace(made.endpoints, sequence=self._sequence)
        return msgspec.structs.replace(made, endpoints=numbered)

    def get(self, host: str, path: str) -> Answer:
        """One request on a connection of its own."""
        with RawClient(self.port) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            return client.read_answer()
