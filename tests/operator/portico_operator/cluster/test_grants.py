"""GrantWatch: no grants where the kind is not served; found when it is."""

from __future__ import annotations

from fake_kube import FakeKube, item, listing, until
from portico_operator.cluster.grants import GrantWatch
from portico_operator.cluster.resources import GRANTS
from portico_operator.store import ALL, Scope, Store
from portico_operator.tasks import end, spawn

GROUP = "/apis/gateway.networking.k8s.io"


async def test_discovered_and_discovered_again() -> None:
    kube, store = FakeKube(), Store()
    watch = GrantWatch(kube, store, lambda: None, (ALL,), every=0.002)
    store.expect(watch.scopes)
    assert store.missing() == [Scope("ReferenceGrant", ALL)]
    task = spawn(watch.run(), name="grants")
    try:
        await until(lambda: not store.missing())
        assert len(store) == 0
        kube.answers["GET", f"{GROUP}/v1beta1"] = {"resources": [{"name": "referencegrants"}]}
        kube.answers["GET", GRANTS[1].path()] = listing(item("g", 5))
        await until(lambda: len(store) == 1)
        del kube.answers["GET", f"{GROUP}/v1beta1"]
        await until(lambda: len(store) == 0)
    finally:
        await end((task,))
