"""kopf as informer: how it is set, and what is said of an API server that is not there.

Its events against a real API server are tests/cluster's business.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from fake_kube import until
from portico_operator.cluster.client import Credentials
from portico_operator.cluster.events import Informer, _Patience, _settings, _watcher_of
from portico_operator.cluster.resources import OURS


def test_kopf_writes_nothing_and_is_never_limited() -> None:
    settings = _settings()
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.queueing.worker_limit is None
    assert settings.scanning.disabled


def test_patience_is_endless_and_begins_anew() -> None:
    patience = _Patience()
    assert list(islice(patience, 7)) == [0.1, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0]
    assert next(iter(patience)) == 0.1


def test_the_name_of_a_watcher() -> None:
    assert _watcher_of(OURS["Route"]) == "watcher for routes.v1alpha1.portico.dev@"


async def test_a_user_without_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod's user is a number that no /etc/passwd knows."""
    asked: list[object] = []
    told: list[dict[str, Any]] = []

    async def operator(**arguments: Any) -> None:
        told.append(arguments)

    async def served(_: Informer) -> bool:
        return True

    monkeypatch.setattr("getpass.getuser", lambda: asked.append("the user"))
    monkeypatch.setattr("kopf.operator", operator)
    monkeypatch.setattr(Informer, "_all_served", served)
    informer = Informer(Credentials(server="http://127.0.0.1:1"), lambda *_: None)
    informer.start()
    await until(lambda: bool(told))
    await informer.stop()
    assert told[0]["identity"]
    assert not asked


async def test_it_waits_for_an_api_server_and_can_be_stopped() -> None:
    informer = Informer(Credentials(server="http://127.0.0.1:1"), lambda *_: None)
    assert not informer.alive
    informer.start()
    await until(lambda: informer.alive)
    await informer.stop()
    assert not informer.alive
