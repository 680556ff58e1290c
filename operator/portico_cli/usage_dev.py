"""The `portico dev` of this machine, asked for usage at its admin port.

Used by `usage`. Promises: what is not there, or is something else, is a sentence.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any, Final

from portico_cli.usage import Told, UsageFault
from portico_compiler.problems import ObjectRef

_TIMEOUT_S: Final = 15
_HOST: Final = "localhost"


class DevKeeper:
    """Implements `usage.Keeper`."""

    def __init__(self, port: int) -> None:
        self.namespace = "default"
        self._port = port

    def check(self, plan: ObjectRef, key: ObjectRef | None) -> None:
        """Files cannot be looked into from here; whoever answers knows."""

    def names(self) -> Mapping[str, str]:
        """Nobody here knows any."""
        return {}

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Told:
        """One request."""
        connection = http.client.HTTPConnection(_HOST, self._port, timeout=_TIMEOUT_S)
        try:
            return exchange(connection, method, path, body)
        except OSError as why:
            raise UsageFault(
                f"no `portico dev` answers at port {self._port}: {why.strerror or why}"
                " (its admin port is in the line that begins with `serving`)"
            ) from why
        finally:
            connection.close()


def exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Mapping[str, Any] | None,
) -> Told:
    """A question and its answer, over a connection to whoever keeps usage."""
    content = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json"} if content is not None else {}
    try:
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        text = answer.read()
    except http.client.HTTPException as why:
        raise UsageFault(f"what answers there is not the usage of plans: {why!r}") from why
    try:
        return Told(answer.status, json.loads(text))
    except ValueError as why:
        message = f"what answers there is not the usage of plans (status {answer.status})"
        raise UsageFault(message) from why
