"""Deployments against a real API server: taken, pinned, moved, restored, deleted, half taken."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from control_plane import ControlPlane
from kubernetes_api import GROUP_VERSION, KubernetesApi, path_of
from manifests import manifest, route, service
from operators import condition, credentials, eventually, running, status_of
from portico_cli import deploy, main
from portico_compiler import Compiled, ObjectRef, compile  # noqa: A004
from portico_compiler.passes.captures import Candidate
from portico_compiler.revisions import content, packing
from portico_operator.app import App
from portico_operator.cluster import revision_store
from portico_operator.cluster.client import ApiError, KubeClient

APPS = "apps/v1"
REVISION = "ControllerRevision"
MOST_BYTES = 900_000
"""design.md §3: of one object in etcd."""


def apply(api: KubernetesApi, namespace: str, *documents: dict[str, Any]) -> None:
    for document in documents:
        own = copy.deepcopy(document)
        own["metadata"]["namespace"] = namespace
        api.apply(own)


def backend(number: int) -> dict[str, Any]:
    return {"integration": {"url": f"http://v{number}.example/"}}


def deployment(name: str, **spec: Any) -> dict[str, Any]:
    return manifest("ApiDeployment", name, {"apiRef": {"name": "shop"}, **spec})


def stage(name: str, deployed: str = "", **spec: Any) -> dict[str, Any]:
    body = {"apiRef": {"name": "shop"}, "stageName": name, **spec}
    if deployed:
        body["deploymentRef"] = {"name": deployed}
    return manifest("Stage", name, body)


def shop(number: int = 1) -> list[dict[str, Any]]:
    return [manifest("RestApi", "shop"), route("list", "GET /pets", **backend(number))]


def serves(app: App, namespace: str, name: str = "prod") -> dict[str, str]:
    """Route key to target, as the last publication has them in a stage."""
    latest = app.status.latest
    ref = ObjectRef("RestApi", namespace, "shop")
    rows = latest.compiled.report.routes if latest is not None else ()
    return {row.key: row.target for row in rows if row.api == ref and row.stage == name}


def taken(api: KubernetesApi, namespace: str, name: str) -> dict[str, Any]:
    """Status of an ApiDeployment once it is taken; {} before."""
    if condition(api, "ApiDeployment", name, namespace, "Accepted")[0] != "True":
        return {}
    status = status_of(api, "ApiDeployment", name, namespace)
    return status if status.get("revision") else {}


def revisions(api: KubernetesApi, namespace: str) -> list[dict[str, Any]]:
    return api.list(APPS, REVISION, namespace)


def exported(objects: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a user keeps of `kubectl get -o yaml`."""
    kept = []
    for found in objects:
        metadata = {key: found["metadata"][key] for key in ("name", "labels")}
        kept.append({**found, "metadata": metadata})
    return kept


class Watchman:
    """Everything that a stage served, from one publication to the next."""

    def __init__(self, app: App, namespace: str, name: str = "prod") -> None:
        self.seen: list[dict[str, str]] = []
        published = app.reconciler._published

        def noted(publication: Any) -> None:
            published(publication)
            self.seen.append(serves(app, namespace, name))

        app.reconciler._published = noted

    @property
    def targets(self) -> list[str]:
        """Of GET /pets, without repetitions; `broken` where it answered 500."""
        found = [served.get("GET /pets", "broken") for served in self.seen]
        return [t for before, t in zip([None, *found], found, strict=False) if t != before]


async def test_it_is_taken_once_it_has_settled_and_stays_as_it_is(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        apply(api, namespace, *shop(), deployment("v1"), stage("prod", "v1"), stage("test"))
        status = await eventually(partial(taken, api, namespace, "v1"))
        assert (status["routes"], status["authorizers"], status["parts"]) == (1, 0, 1)
        (found,) = revisions(api, namespace)
        assert found["metadata"]["name"] == status["revision"]
        assert found["metadata"]["labels"] == {packing.LABEL: status["revision"]}
        (owner,) = found["metadata"]["ownerReferences"]
        uid = api.get(GROUP_VERSION, "RestApi", "shop", namespace)["metadata"]["uid"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("RestApi", "shop", uid)
        assert "blockOwnerDeletion" not in owner
        await eventually(lambda: serves(app, namespace) == {"GET /pets": "http://v1.example/"})
        await eventually(lambda: status_of(api, "Stage", "prod", namespace).get("serving"))
        assert status_of(api, "Stage", "prod", namespace)["serving"] == {
            "deployment": "v1",
            "revision": status["revision"],
            "digest": status["digest"],
        }
        assert status_of(api, "Stage", "test", namespace)["serving"] == {"current": True}
        before = units(app, namespace)
        apply(api, namespace, route("list", "GET /pets", **backend(2)), route("add", "POST /pets"))
        await eventually(lambda: len(serves(app, namespace, "test")) == 2)
        assert serves(app, namespace) == {"GET /pets": "http://v1.example/"}
        assert units(app, namespace) == before
        assert status_of(api, "ApiDeployment", "v1", namespace)["digest"] == status["digest"]


def units(app: App, namespace: str) -> dict[str, str]:
    """Digests of what only the deployment's stages have."""
    assert app.status.latest is not None
    manifest_ = app.status.latest.compiled.snapshots["portico"].manifest
    prefix = f"routes/{namespace}/RestApi/shop/*@"
    return {name: digest for name, digest in manifest_.units.items() if name.startswith(prefix)}


async def test_nothing_is_taken_while_a_member_is_not_accepted(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace

    def waits() -> str:
        _, reason, message = condition(api, "ApiDeployment", "v1", namespace, "Accepted")
        return message if reason == "Capturing" else ""

    async with running(cluster, namespace):
        apply(api, namespace, manifest("RestApi", "shop"), deployment("v1"))
        await eventually(lambda: "has no Routes" in waits())
        apply(api, namespace, *shop(), route("bad", "GET /pets"))
        await eventually(lambda: f"not Accepted: Route {namespace}/" in waits())
        await asyncio.sleep(2.5)  # longer than a state must be the same
        assert revisions(api, namespace) == []
        # Something that keeps moving is not taken either; what it comes to is.
        api.delete(GROUP_VERSION, "Route", "bad", namespace)
        for number in range(2, 8):
            await asyncio.to_thread(
                apply, api, namespace, route("list", "GET /pets", **backend(number))
            )
            await asyncio.sleep(0.6)
        status = await eventually(partial(taken, api, namespace, "v1"))
        held = packing.unpack(*_head(api, namespace, status["revision"]))
        assert isinstance(held, bytes)
        assert [r["spec"]["integration"] for r in json.loads(held)["routes"]] == [
            {"url": "http://v7.example/"}
        ]


def _head(api: KubernetesApi, namespace: str, name: str) -> Any:
    from portico_operator.objects import read

    objects = {o["metadata"]["name"]: read(REVISION, o).object for o in revisions(api, namespace)}
    head = packing.head_of(objects[name])
    return head, objects[name], objects.get


async def test_a_digest_from_files_is_the_one_that_is_taken(
    cluster: ControlPlane,
    fresh_namespace: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The API server fills in defaults and sorts keys; the digest is the same all the same."""
    api, namespace = cluster.api, fresh_namespace
    documents = [
        manifest(
            "RestApi",
            "shop",
            {
                "functions": {"f": {"service": {"name": "fn", "port": 80}}},
                "models": {"Pet": {"schema": {"z": 1.0, "a": [1, 2.5, None]}}},
            },
        ),
        route("list", "GET /pets", **backend(1)),
        route(
            "weighted",
            "ANY /w/{proxy+}",
            integration={
                "backends": [
                    {"service": {"name": "a", "port": 80}},
                    {"service": {"name": "b", "port": "http", "scheme": "https"}, "weight": 3},
                ],
                "timeout": "5s",
            },
        ),
        route(
            "mock",
            "GET /mock",
            integration={
                "type": "MOCK",
                "requestTemplates": {"application/json": '{"statusCode": 200}'},
                "responses": {"default": {"statusCode": 200}, "4\\d{2}": {"statusCode": "404"}},
            },
        ),
    ]
    file = tmp_path / "shop.yaml"
    bare = [{**d, "metadata": {"name": d["metadata"]["name"]}} for d in documents]
    file.write_text(yaml.dump_all(bare))
    assert main.main(["digest", "-f", str(file)]) == 0
    digest = capsys.readouterr().out.strip()
    async with running(cluster, namespace):
        apply(api, namespace, deployment("v1", expectedDigest=digest), *documents[:2])
        message = await eventually(
            lambda: (
                "the current state has the digest"
                in condition(api, "ApiDeployment", "v1", namespace, "Accepted")[2]
            )
        )
        assert message
        apply(api, namespace, *documents[2:])
        status = await eventually(partial(taken, api, namespace, "v1"))
        assert status["digest"] == digest
        # As written by hand, and what the operator itself takes later.
        apply(api, namespace, service("fn", 80), deployment("v2"))


async def test_moved_before_it_is_taken_and_rolled_back(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    """All of it in one `kubectl apply`: the stage goes on serving until the new one is there."""
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        apply(api, namespace, *shop(1), stage("prod"))
        await eventually(
            lambda: status_of(api, "Stage", "prod", namespace).get("serving") == {"current": True}
        )
        await eventually(lambda: serves(app, namespace) == {"GET /pets": "http://v1.example/"})
        watchman = Watchman(app, namespace)
        for number in (1, 2):
            name = f"v{number}"
            apply(api, namespace, *shop(number), deployment(name), stage("prod", name))
            await eventually(
                lambda: (
                    condition(api, "Stage", "prod", namespace, "ResolvedRefs")[1]
                    == "RefNotAccepted"
                )
            )
            assert condition(api, "Stage", "prod", namespace, "Programmed")[1] == "NotDeployed"
            await eventually(
                lambda: (
                    status_of(api, "Stage", "prod", namespace).get("serving", {}).get("deployment")
                    == name  # noqa: B023
                )
            )
        assert watchman.targets == ["http://v1.example/", "http://v2.example/"]
        apply(api, namespace, stage("prod", "v1"))
        await eventually(lambda: serves(app, namespace) == {"GET /pets": "http://v1.example/"})
        assert watchman.targets == [f"http://v{n}.example/" for n in (1, 2, 1)]
        assert all("GET /pets" in seen for seen in watchman.seen)


async def test_a_stage_of_nothing_fails_closed(cluster: ControlPlane, fresh_namespace: str) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        apply(api, namespace, *shop(), stage("prod", "nowhere"))
        await eventually(
            lambda: condition(api, "Stage", "prod", namespace, "ResolvedRefs")[1] == "RefNotFound"
        )
        assert set(serves(app, namespace).values()) == {"broken"}
        assert condition(api, "Stage", "prod", namespace, "Programmed")[1] == "NotDeployed"
        assert "serving" not in status_of(api, "Stage", "prod", namespace)


async def test_deleted_in_use_and_removed_when_nobody_names_it(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        apply(api, namespace, *shop(1), deployment("v1"), stage("prod", "v1"))
        first = await eventually(partial(taken, api, namespace, "v1"))
        apply(api, namespace, *shop(2), deployment("v2"), deployment("unused"))
        second = await eventually(partial(taken, api, namespace, "v2"))
        unused = await eventually(partial(taken, api, namespace, "unused"))
        watchman = Watchman(app, namespace)
        api.delete(GROUP_VERSION, "ApiDeployment", "v1", namespace)
        api.delete(GROUP_VERSION, "ApiDeployment", "unused", namespace)
        await eventually(
            lambda: (
                condition(api, "Stage", "prod", namespace, "ResolvedRefs")[1] == "DeploymentDeleted"
            )
        )
        names = await eventually(
            lambda: found if unused["revision"] not in (found := _names(api, namespace)) else None,
            "what nobody names to go",
        )
        assert names == {first["revision"], second["revision"]}
        assert serves(app, namespace) == {"GET /pets": "http://v1.example/"}
        apply(api, namespace, stage("prod", "v2"))
        await eventually(lambda: _names(api, namespace) == {second["revision"]})
        assert watchman.targets == ["http://v1.example/", "http://v2.example/"]


def _names(api: KubernetesApi, namespace: str) -> set[str]:
    return {found["metadata"]["name"] for found in revisions(api, namespace)}


async def test_what_was_exported_is_restored_in_another_namespace(
    cluster: ControlPlane, fresh_namespace: str, tmp_path: Path
) -> None:
    api, namespace = cluster.api, fresh_namespace
    other = f"{namespace}-restored"
    await asyncio.to_thread(api.create_namespace, other)
    try:
        async with running(cluster, namespace) as app:
            apply(api, namespace, *shop(1), deployment("v1"))
            first = await eventually(partial(taken, api, namespace, "v1"))
            kept = exported(revisions(api, namespace))
            # Of a cluster where nothing of it was ever taken; its routes are other ones by now.
            apply(api, other, *shop(9), stage("prod", "restored"))
            apply(api, other, *kept)
            reference = {"name": first["revision"]}
            apply(api, other, deployment("restored", revisionRef=reference))
            status = await eventually(partial(taken, api, other, "restored"))
            assert status["digest"] == first["digest"]
            await eventually(lambda: serves(app, other) == {"GET /pets": "http://v1.example/"})
            # It has its own by now, and what was applied by hand is whoever's who applied it.
            assert status["revision"] != first["revision"]
            assert _names(api, other) == {first["revision"], status["revision"]}
            await asyncio.to_thread(api.delete, APPS, REVISION, first["revision"], other)
            await eventually(lambda: _names(api, other) == {status["revision"]})
            assert serves(app, other) == {"GET /pets": "http://v1.example/"}
            # And what `portico deploy` wrote.
            folder = tmp_path / "in"
            folder.mkdir()
            (folder / "shop.yaml").write_text(yaml.dump_all(shop(5)))
            output = tmp_path / "v5.yaml"
            assert deploy.run("v5", [str(folder)], None, str(output)) == 0
            written = list(yaml.safe_load_all(output.read_text()))
            apply(api, other, *written, stage("prod", "v5"))
            await eventually(lambda: serves(app, other) == {"GET /pets": "http://v5.example/"})
            fifth = await eventually(partial(taken, api, other, "v5"))
            assert fifth["digest"] == written[-1]["spec"]["expectedDigest"]
            assert condition(api, "ApiDeployment", "v5", other, "Programmed")[1] != "NotDeployed"
    finally:
        await asyncio.to_thread(api.remove_namespace, other)


async def test_an_api_that_is_made_anew_has_nothing_of_the_old_one(
    cluster: ControlPlane, fresh_namespace: str
) -> None:
    api, namespace = cluster.api, fresh_namespace
    async with running(cluster, namespace) as app:
        apply(api, namespace, *shop(1), deployment("v1"), stage("prod", "v1"))
        await eventually(partial(taken, api, namespace, "v1"))
        api.delete(GROUP_VERSION, "RestApi", "shop", namespace)
        apply(api, namespace, *shop(2))
        for kind, name in (("ApiDeployment", "v1"), ("Stage", "prod")):
            await eventually(
                lambda: (
                    condition(api, kind, name, namespace, "ResolvedRefs")[1]  # noqa: B023
                    == "AnotherApi"
                )
            )
        assert set(serves(app, namespace).values()) == {"broken"}
        # The garbage collector, which this bed has not, removes what the old one owned.
        for name in _names(api, namespace):
            await asyncio.to_thread(api.delete, APPS, REVISION, name, namespace)
        await eventually(
            lambda: (
                "make another ApiDeployment"
                in condition(api, "ApiDeployment", "v1", namespace, "Accepted")[2]
            )
        )
        # Nothing else is taken in its place; the very same state may be.
        await asyncio.sleep(2.5)
        assert _names(api, namespace) == set()
        apply(api, namespace, *shop(1))
        await eventually(lambda: serves(app, namespace) == {"GET /pets": "http://v1.example/"})


async def test_three_thousand_routes(cluster: ControlPlane, fresh_namespace: str) -> None:
    api, namespace = cluster.api, fresh_namespace
    count = 3000
    text = "".join(f"header-{n}: " + "x" * 20 + "; " for n in range(12))

    def one(number: int) -> None:
        parameters = {"integration.request.header.X-Text": f"'{text}{number}'"}
        target = {"url": f"http://backend-{number}.example/", "requestParameters": parameters}
        document = route(f"r{number}", f"GET /resources/{number}/{{id}}", integration=target)
        document["metadata"]["namespace"] = namespace
        api.create(document)

    def many() -> None:
        apply(api, namespace, manifest("RestApi", "shop"))
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(one, range(count)))

    await asyncio.to_thread(many)
    async with running(cluster, namespace) as app:
        apply(api, namespace, deployment("v1"), stage("prod", "v1"))
        status = await eventually(partial(taken, api, namespace, "v1"), "the deployment")
        assert status["routes"] == count
        objects = await asyncio.to_thread(revisions, api, namespace)
        assert len(objects) == status["parts"] > 1
        assert max(len(json.dumps(found)) for found in objects) <= MOST_BYTES
        head = next(o for o in objects if o["metadata"]["name"] == status["revision"])
        held = packing.unpack(*_head(api, namespace, head["metadata"]["name"]))
        assert isinstance(held, bytes)
        assert len(held) > 1_500_000
        await eventually(lambda: len(serves(app, namespace)) == count)
        before = units(app, namespace)
        apply(api, namespace, route("r7", "GET /edited"))
        await eventually(lambda: "GET /edited" in serves(app, namespace, "$default"))
        assert units(app, namespace) == before
        # A user who exports and applies it elsewhere exports all parts by one label.
        for found in objects:
            assert found["metadata"]["labels"] == {packing.LABEL: status["revision"]}
        api.delete(GROUP_VERSION, "Stage", "prod", namespace)
        api.delete(GROUP_VERSION, "ApiDeployment", "v1", namespace)
        await eventually(lambda: revisions(api, namespace) == [], "all parts to go")
    # More than the bed's own clearing has the patience for.
    await asyncio.to_thread(api.request, "DELETE", path_of(GROUP_VERSION, "Route", namespace), {})


class Killed(Exception):
    """The process is gone."""


async def test_a_leader_that_dies_half_way_leaves_nothing_that_is_served(
    cluster: ControlPlane, fresh_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, namespace = cluster.api, fresh_namespace
    monkeypatch.setattr(packing, "CHUNK_BYTES", 100)
    written: list[str] = []
    create = revision_store.RevisionStore._create

    async def dying(self: Any, document: Any) -> bool:
        if len(written) == 2:
            await asyncio.Event().wait()  # until the process ends
        written.append(document["metadata"]["name"])
        return await create(self, document)

    more = [route(f"r{number}", f"GET /r{number}") for number in range(5)]
    monkeypatch.setattr(revision_store.RevisionStore, "_create", dying)
    async with running(cluster, namespace) as app:
        apply(api, namespace, *shop(1), *more, deployment("v1"), stage("prod", "v1"))
        await eventually(lambda: len(written) == 2 == len(revisions(api, namespace)))
        app.lease._release = _nothing  # type: ignore[method-assign]
        assert set(serves(app, namespace).values()) == {"broken"}
    # The state is another one by now, so its parts are.
    apply(api, namespace, route("r1", "GET /other"))
    monkeypatch.setattr(revision_store.RevisionStore, "_create", create)
    async with running(cluster, namespace, identity="two") as app:
        status = await eventually(partial(taken, api, namespace, "v1"))
        await eventually(lambda: "GET /other" in serves(app, namespace))
        assert "broken" not in serves(app, namespace).values()
        assert not set(written) & _parts(api, namespace, status["revision"])


async def test_an_operator_that_starts_serves_deployments_from_its_first_moment(
    cluster: ControlPlane, fresh_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only a deployment names must be known before anything is delivered."""
    api, namespace = cluster.api, fresh_namespace
    monkeypatch.setattr(packing, "CHUNK_BYTES", 100)
    called: dict[str, Any] = {"integration": {"service": {"name": "pets", "port": 80}}}
    async with running(cluster, namespace):
        apply(api, namespace, service("pets", 80), *shop(), route("call", "GET /call", **called))
        apply(api, namespace, deployment("v1"), stage("prod", "v1"))
        status = await eventually(partial(taken, api, namespace, "v1"))
        assert status["parts"] > 1
    api.delete(GROUP_VERSION, "Route", "call", namespace)
    results: list[Compiled] = []

    def noting(*given: Any) -> Compiled:
        results.append(compile(*given))
        return results[-1]

    monkeypatch.setattr("portico_operator.reconciler.compile_world", noting)
    async with running(cluster, namespace, identity="two") as app:
        await eventually(lambda: app.status.latest)
    for result in results:
        rows = [row for row in result.report.routes if row.stage == "prod"]
        assert {row.key for row in rows} == {"GET /call", "GET /pets"}
        assert all(row.accepted for row in rows)


async def _nothing() -> None:
    pass


def _parts(api: KubernetesApi, namespace: str, name: str) -> set[str]:
    head, *_ = _head(api, namespace, name)
    return {name, *(part.name for part in head.parts)}


async def test_of_two_leaders_one_takes_it(
    cluster: ControlPlane, fresh_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each with a state of its own: what is there in the end is one of them, as a whole."""
    api, namespace = cluster.api, fresh_namespace
    monkeypatch.setattr(packing, "CHUNK_BYTES", 100)
    apply(api, namespace, *shop(1))
    uid = api.get(GROUP_VERSION, "RestApi", "shop", namespace)["metadata"]["uid"]
    async with KubeClient(credentials(cluster)) as client:
        store = revision_store.RevisionStore(client, lambda: True, ())
        candidates = [_candidate(namespace, uid, text) for text in ("a" * 500, "b" * 700)]
        outcomes = await asyncio.gather(*(store.take(c) for c in (*candidates, candidates[0])))
        assert sorted(outcomes) == [False, False, True]
        held = packing.unpack(*_head(api, namespace, "v1-race"))
        assert isinstance(held, bytes)
        winner = next(
            c for c, won in zip((*candidates, candidates[0]), outcomes, strict=True) if won
        )
        assert winner.captured is not None
        assert held == winner.captured.data
        # A part that somebody has damaged is made good by whoever comes next.
        path = next(o for o in revisions(api, namespace) if o["metadata"]["name"] != "v1-race")
        await asyncio.to_thread(api.delete, APPS, REVISION, "v1-race", namespace)
        await asyncio.to_thread(api.delete, APPS, REVISION, path["metadata"]["name"], namespace)
        damaged = {**exported([path])[0], "data": {"format": 1, "content": "AAAA"}}
        apply(api, namespace, damaged)
        for candidate in candidates:
            await store.take(candidate)
        assert isinstance(packing.unpack(*_head(api, namespace, "v1-race")), bytes)
        with pytest.raises(ApiError):
            await store._create({**damaged, "metadata": {"name": "", "namespace": namespace}})


def _candidate(namespace: str, uid: str, text: str) -> Candidate:
    import hashlib

    data = json.dumps({"text": text}).encode()
    captured = content.Captured(data, hashlib.sha256(data).hexdigest(), 0, 0)
    origin = packing.Origin(
        packing.ApiOrigin(kind="RestApi", name="shop", uid=uid),
        packing.DeploymentOrigin(name="v1", uid="d"),
    )
    api = ObjectRef("RestApi", namespace, "shop")
    return Candidate(
        ObjectRef("ApiDeployment", namespace, "v1"), api, "v1-race", origin, captured, True
    )
