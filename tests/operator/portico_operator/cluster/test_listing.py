"""The own list: all pages of one version, or none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fake_kube import FakeKube, error, item, listing
from portico_operator.cluster.client import ApiError
from portico_operator.cluster.listing import MOST_REST_S, Named, list_all, list_names
from portico_operator.cluster.resources import CORE, OURS

PATH = OURS["Route"].path()


def name(raw: object) -> str:
    return str(raw["metadata"]["name"])  # type: ignore[index]


async def test_pages_are_followed() -> None:
    kube = FakeKube()
    kube.answers["GET", PATH] = [
        listing(item("a", 1), more="next"),
        listing(item("b", 2), version=12),
    ]
    found = await list_all(kube, OURS["Route"], "", name)
    assert (found.items, found.version, found.version_text) == (["a", "b"], 12, "12")
    assert [asked[2] for asked in kube.asked] == [
        {"limit": "1000"},
        {"limit": "1000", "continue": "next"},
    ]


async def test_names_alone() -> None:
    kube = FakeKube()
    kube.answers["GET", PATH] = [
        listing(item("a", 1), more="next"),
        listing(item("b", 2), version=12),
    ]
    found = await list_names(kube, OURS["Route"], "")
    assert [(each.name, each.resource_version) for each in found.items] == [("a", "1"), ("b", "2")]
    assert all(isinstance(each, Named) for each in found.items)
    assert (found.version, found.version_text) == (12, "12")


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"items": [{}]}', b'{"items": [1]}', b"\xff"])
async def test_what_is_no_list_of_names_is_told(answer: bytes) -> None:
    class Odd(FakeKube):
        async def request(self, *_: object, **__: object) -> bytes:
            return answer

    with pytest.raises(ApiError, match="not a list"):
        await list_names(Odd(), OURS["Route"], "")


@pytest.mark.parametrize("rest", [0.0, 2.0])
async def test_whoever_has_time_asks_for_little_and_rests(
    rest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []

    async def resting(seconds: float) -> None:
        rests.append(seconds)

    monkeypatch.setattr(f"{list_all.__module__}.asyncio", SimpleNamespace(sleep=resting))
    kube = FakeKube()
    kube.answers["GET", PATH] = [listing(item("a", 1), more="next"), listing(item("b", 2))]
    found = await list_names(kube, OURS["Route"], "", rest=rest)
    assert [each.name for each in found.items] == ["a", "b"]
    assert kube.asked[0][2] == {"limit": "250" if rest else "1000"}
    assert len(rests) == (1 if rest else 0)
    assert all(0 <= seconds <= MOST_REST_S for seconds in rests)


async def test_a_page_that_expired_begins_again() -> None:
    kube = FakeKube()
    kube.answers["GET", PATH] = [
        listing(item("old", 1), more="next"),
        error(410),
        listing(item("new", 2)),
    ]
    assert (await list_all(kube, OURS["Route"], "", name)).items == ["new"]


async def test_other_errors_are_told() -> None:
    with pytest.raises(ApiError):
        await list_all(FakeKube(), OURS["Route"], "", name)


async def test_namespace_and_selector() -> None:
    kube = FakeKube()
    resource = CORE["ControllerRevision"]
    kube.answers["GET", resource.path("n")] = listing()
    await list_all(kube, resource, "n", name)
    assert kube.asked[0][2]["labelSelector"] == resource.selector
    # A cluster-scoped kind has no namespace, whoever asks.
    kube.answers["GET", OURS["PorticoClass"].path()] = listing()
    await list_all(kube, OURS["PorticoClass"], "n", name)
