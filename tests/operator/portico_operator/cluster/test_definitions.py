"""Definitions: served, going, or back under the same name."""

from __future__ import annotations

from typing import Any

import pytest

from fake_kube import FakeKube, error
from portico_operator.cluster.client import ApiError
from portico_operator.cluster.definitions import Definitions, Served

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routes.portico.dev"
GROUP = "/apis/portico.dev/v1alpha1"


def definition(uid: str = "u", *, going: bool = False, established: bool = True) -> dict[str, Any]:
    metadata = {"uid": uid} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})
    state = "True" if established else "False"
    return {
        "metadata": metadata,
        "status": {"conditions": [{"type": "Established", "status": state}]},
    }


async def states(*answers: Any) -> list[Served]:
    kube = FakeKube()
    kube.answers["GET", PATH] = list(answers)
    definitions = Definitions(kube)
    return [await definitions.check("Route") for _ in answers]


async def test_served() -> None:
    assert await states(definition(), definition()) == [Served.YES, Served.YES]


@pytest.mark.parametrize(
    "answer", [error(404), definition(going=True), definition(established=False)]
)
async def test_not_served(answer: Any) -> None:
    assert await states(answer) == [Served.NO]


async def test_back_under_another_uid() -> None:
    assert await states(definition("1"), error(404), definition("2"), definition("2")) == [
        Served.YES,
        Served.NO,
        Served.ANEW,
        Served.YES,
    ]


async def test_replaced_while_nobody_looked() -> None:
    assert await states(definition("1"), definition("2")) == [Served.YES, Served.ANEW]


async def test_an_api_server_that_does_not_answer_says_nothing() -> None:
    with pytest.raises(ApiError):
        await states(error(503))


async def test_without_leave_discovery_tells() -> None:
    kube = FakeKube()
    kube.answers["GET", PATH] = error(403)
    verbs = ["create", "list"]
    kube.answers["GET", GROUP] = [
        {"resources": [{"name": "routes", "verbs": verbs}]},
        {"resources": [{"name": "routes", "verbs": ["list", "delete"]}]},
        {"resources": []},
        error(404),
        {"resources": [{"name": "routes", "verbs": verbs}]},
    ]
    definitions = Definitions(kube)
    found = [await definitions.check("Route") for _ in range(5)]
    assert found == [Served.YES, Served.NO, Served.NO, Served.NO, Served.ANEW]
