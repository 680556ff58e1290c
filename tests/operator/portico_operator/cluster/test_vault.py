"""ClusterVault: the CA survives a round trip, and of two holders one fails."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from fake_kube import FakeKube, error
from portico_ir.secrets import Redacted
from portico_operator.cluster.vault import ClusterVault
from portico_operator.delivery.authority import Authority, Conflict, Stored

SECRET = "/api/v1/namespaces/n/secrets/ca"
BUNDLE = "/api/v1/namespaces/n/configmaps/bundle"
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Server(FakeKube):
    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {
            path: {"metadata": {"resourceVersion": "1"}} for path in (SECRET, BUNDLE)
        }
        for path in self.objects:
            self.answers["GET", path] = lambda *_, p=path: self.objects[p]
            self.answers["PATCH", path] = lambda _, body, p=path: self._patch(p, body)

    def _patch(self, path: str, body: dict[str, Any]) -> Any:
        known = self.objects[path]
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, known["metadata"]["resourceVersion"]):
            return error(409)
        version = int(known["metadata"]["resourceVersion"]) + 1
        data = {**known.get("data", {}), **body["data"]}
        self.objects[path] = {"metadata": {"resourceVersion": str(version)}, "data": data}
        return self.objects[path]


def authority(name: str) -> Authority:
    return Authority(name, Redacted(f"key of {name}"), NOW, NOW + dt.timedelta(days=1))


async def test_empty_objects_are_an_empty_store() -> None:
    assert await ClusterVault(Server(), "n", "ca", "bundle").read() == Stored(version="1")


async def test_what_is_written_is_read() -> None:
    vault = ClusterVault(Server(), "n", "ca", "bundle")
    stored = Stored(
        current=authority("a"),
        successor=authority("b"),
        published_at=NOW,
        former="c",
        retires_at=NOW,
        bundle="abc",
        version="1",
    )
    written = await vault.write(stored)
    assert await vault.read() == written == stored._replace(version="2")


async def test_of_two_holders_one_fails() -> None:
    vault = ClusterVault(Server(), "n", "ca", "bundle")
    read = await vault.read()
    await vault.write(read._replace(bundle="first"))
    with pytest.raises(Conflict):
        await vault.write(read._replace(bundle="second"))


async def test_what_cannot_be_read_counts_as_absent() -> None:
    server = Server()
    server.objects[SECRET]["data"] = {"authority.json": "not base64!"}
    assert (await ClusterVault(server, "n", "ca", "bundle").read()).current is None
