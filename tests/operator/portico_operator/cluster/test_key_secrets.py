"""KeySecrets: how a Secret is created, and what a refusal says; tests/cluster has a real server."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from portico_compiler.passes.generation import WantedSecret
from portico_compiler.problems import ObjectRef
from portico_ir.secrets import Redacted
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.cluster.key_secrets import KeySecrets
from portico_operator.mint import NotMade

WANTED = WantedSecret(ObjectRef("ApiKey", "shop", "acme"), "uid-1", "acme-key", "value")
VALUE = Redacted("x" * 40)


class Server:
    """Refuses what it is told to."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.refusal = refusal
        self.asked: list[tuple[str, str, Any]] = []

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> bytes:
        self.asked.append((method, path, body))
        if self.refusal is not None and path.endswith("/secrets"):
            raise self.refusal
        return b"{}"


def secrets(server: Server, left: float = 5.0) -> KeySecrets:
    return KeySecrets(cast("KubeClient", server), lambda: left, "one")


async def test_it_is_created_and_owned() -> None:
    server = Server()
    assert await secrets(server).make(WANTED, VALUE)
    ((method, path, body),) = server.asked
    assert (method, path) == ("POST", "/api/v1/namespaces/shop/secrets")
    assert body["stringData"] == {"value": "x" * 40}
    (owner,) = body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("ApiKey", "acme", "uid-1")


async def test_one_that_exists_is_left_alone() -> None:
    server = Server(ApiError(409, "AlreadyExists", "it is there"))
    assert not await secrets(server).make(WANTED, VALUE)
    assert len(server.asked) == 1


async def test_a_refusal_is_said_once_and_without_the_value() -> None:
    server = Server(ApiError(403, "Forbidden", "secrets is forbidden"))
    made = secrets(server)
    for _ in range(2):
        with pytest.raises(NotMade, match="secrets is forbidden"):
            await made.make(WANTED, VALUE)
    events = [body for _, path, body in server.asked if path.endswith("/events")]
    (event,) = events
    assert (event["type"], event["reason"]) == ("Warning", "SecretNotMade")
    assert event["regarding"]["namespace"] == "shop"
    assert b"xxxx" not in msgspec.json.encode(event)


async def test_an_outage_is_nobody_s_fault() -> None:
    server = Server(ApiError(0, "Unreachable", "no route"))
    with pytest.raises(NotMade):
        await secrets(server).make(WANTED, VALUE)
    assert len(server.asked) == 1


async def test_who_leads_no_more_writes_nothing() -> None:
    server = Server()
    with pytest.raises(NotMade, match="does not lead"):
        await secrets(server, left=0.0).make(WANTED, VALUE)
    assert server.asked == []
