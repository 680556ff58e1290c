"""RevisionStore: create only, the head last, parts made good, removal of exactly what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from fake_kube import FakeKube, error, listing
from portico_compiler import ObjectRef
from portico_compiler.passes.captures import Candidate
from portico_compiler.revisions import packing
from portico_compiler.revisions.content import Captured
from portico_operator.captures import Kept
from portico_operator.cluster.client import ApiError
from portico_operator.cluster.revision_store import NotLeading, RevisionStore

PATH = "/apis/apps/v1/namespaces/ns/controllerrevisions"
ORIGIN = packing.Origin(
    packing.ApiOrigin(kind="RestApi", name="shop", uid="u"), packing.DeploymentOrigin(name="v1")
)


class Server(FakeKube):
    """Keeps what is created."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, dict[str, Any]] = {}
        self.answers["POST", PATH] = lambda _, body: self._create(body)

    def _create(self, body: dict[str, Any]) -> Any:
        name = body["metadata"]["name"]
        if name in self.objects:
            return error(409)
        self.put(body, f"u-{name}")
        return body

    def put(self, body: dict[str, Any], uid: str) -> None:
        name = body["metadata"]["name"]
        self.objects[name] = {**body, "metadata": {**body["metadata"], "uid": uid}}
        self.answers["GET", f"{PATH}/{name}"] = lambda *_: self.objects.get(name, error(404))
        self.answers["DELETE", f"{PATH}/{name}"] = lambda _, asked: self._delete(name, asked)

    def _delete(self, name: str, asked: dict[str, Any]) -> Any:
        if name not in self.objects:
            return error(404)
        if asked["preconditions"]["uid"] != self.objects[name]["metadata"]["uid"]:
            return error(409)
        return self.objects.pop(name)

    @property
    def written(self) -> list[str]:
        return [body["metadata"]["name"] for method, _, _, body in self.asked if method == "POST"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK_BYTES", 10)


def candidate(data: bytes = b'{"a":"0123456789012345"}') -> Candidate:
    import hashlib

    state = Captured(data, hashlib.sha256(data).hexdigest(), 1, 0)
    api = ObjectRef("RestApi", "ns", "shop")
    return Candidate(ObjectRef("ApiDeployment", "ns", "v1"), api, "v1-x", ORIGIN, state, False)


def store(server: Server, leads: bool = True, *namespaces: str) -> RevisionStore:
    return RevisionStore(server, lambda: leads, namespaces)


async def test_the_head_is_written_last_and_owned_by_its_api() -> None:
    server = Server()
    assert await store(server).take(candidate())
    assert len(server.written) == 3
    assert server.written[-1] == "v1-x"
    for found in server.objects.values():
        assert found["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "portico.dev/v1alpha1",
                "kind": "RestApi",
                "name": "shop",
                "uid": "u",
                "controller": True,
            }
        ]


async def test_a_second_leader_finds_it_taken() -> None:
    server = Server()
    assert await store(server).take(candidate())
    before = dict(server.objects)
    assert not await store(server).take(candidate())
    # Another state has parts of its own; the head stays what it was.
    assert not await store(server).take(candidate(b'{"b":"another state"}'))
    assert server.objects["v1-x"] == before["v1-x"]


async def test_a_part_that_is_there_is_checked() -> None:
    server = Server()
    state = candidate()
    assert state.captured is not None
    parts = packing.pack(state.captured, "v1-x", "ns", ORIGIN, None)
    server.put(parts[0], "good")
    server.put({**parts[1], "data": {"format": 1, "content": "AAAA"}}, "bad")
    assert await store(server).take(state)
    names = [part["metadata"]["name"] for part in parts]
    assert server.objects[names[0]]["metadata"]["uid"] == "good"
    assert server.objects[names[1]]["metadata"]["uid"] == f"u-{names[1]}"


async def test_who_does_not_lead_writes_nothing() -> None:
    server = Server()
    with pytest.raises(NotLeading):
        await store(server, False).take(candidate())
    with pytest.raises(NotLeading):
        await store(server, False).remove(Kept("ns", "x", "u", "x", None, ""))
    assert server.asked == []


async def test_a_refusal_is_told() -> None:
    server = Server()
    server.answers["POST", PATH] = error(403)
    with pytest.raises(ApiError):
        await store(server).take(candidate())


async def test_what_is_found() -> None:
    server = Server()
    owner = {"apiVersion": "portico.dev/v1alpha1", "kind": "RestApi", "name": "shop", "uid": "u"}
    other = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "web", "uid": "w"}
    labels = {packing.LABEL: "v1-x"}
    metadata = {"namespace": "ns", "name": "v1-x", "uid": "1", "labels": labels}
    server.answers["GET", "/apis/apps/v1/controllerrevisions"] = listing(
        {"metadata": {**metadata, "ownerReferences": [owner]}},
        {"metadata": {**metadata, "name": "web-1", "ownerReferences": [other]}},
        {"metadata": metadata},
        version=7,
    )
    found = await store(server).find()
    assert found.version == 7
    assert found.kept[0] == Kept("ns", "v1-x", "1", "v1-x", ObjectRef("RestApi", "ns", "shop"), "u")
    assert [kept.api for kept in found.kept[1:]] == [None, None]
    assert server.asked[0][2]["labelSelector"] == packing.LABEL


async def test_only_served_namespaces_are_looked_through() -> None:
    server = Server()
    server.answers["GET", PATH] = listing(version=3)
    server.answers["GET", PATH.replace("/ns/", "/two/")] = listing(version=9)
    found = await store(server, True, "ns", "two").find()
    # Both must be known before anything of them goes.
    assert (found.kept, found.version) == ([], 9)


async def test_a_namesake_stays() -> None:
    server = Server()
    await store(server).take(candidate())
    await store(server).remove(Kept("ns", "v1-x", "another uid", "v1-x", None, ""))
    assert "v1-x" in server.objects
    await store(server).remove(Kept("ns", "v1-x", "u-v1-x", "v1-x", None, ""))
    assert "v1-x" not in server.objects
    await store(server).remove(Kept("ns", "v1-x", "u-v1-x", "v1-x", None, ""))
