"""Herald: the Event before the status, once, and never in a status's way."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fake_kube import FakeKube, error, until
from portico_compiler import Object, ObjectRef
from portico_operator import establishment
from portico_operator.cluster.herald import Herald

SHOP = ObjectRef("RestApi", "team", "shop")
PROD = ObjectRef("Stage", "team", "prod")
PATH = "/apis/events.k8s.io/v1/namespaces/team/events"
ADDRESS = "http://shop.team.example.com/"
ESTABLISHED = {
    "conditions": [
        {"type": "Established", "status": "True", "message": establishment.message(SHOP)}
    ]
}
PENDING = {"conditions": [{"type": "Programmed", "status": "False"}]}


def an_object(ref: ObjectRef, **more: Any) -> Object:
    body = {"spec": {"apiRef": {"name": "shop"}}} if ref.kind == "Stage" else {}
    return Object(ref=ref, body=body, resource_version="1", uid=f"uid-{ref.name}", **more)


class Bed:
    """A herald before a writer that remembers what it was given, and after which requests."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.kube.answers["POST", PATH] = {}
        self.objects = {ref: an_object(ref) for ref in (SHOP, PROD)}
        self.provisional = {SHOP: ADDRESS}
        self.leads = True
        self.written: list[tuple[ObjectRef, int]] = []
        self.closed = False
        self.herald = Herald(
            self.kube,
            self,
            find=self.objects.get,
            provisional=lambda: self.provisional,
            leads=lambda: self.leads,
            instance="pod-1_" + "f" * 200,
        )

    def room(self) -> int:
        return 7

    def next_time(self) -> float:
        return math.inf

    def begin(self, ref: ObjectRef, uid: str, status: dict[str, Any], done: Any) -> None:
        self.written.append((ref, len(self.kube.asked)))
        done(ref, status)

    async def close(self) -> None:
        self.closed = True

    async def write(self, ref: ObjectRef, status: dict[str, Any]) -> None:
        """Until `done` was told."""
        told: list[Any] = []
        self.herald.begin(ref, "uid", status, lambda *said: told.append(said))
        await until(lambda: told)
        assert told == [(ref, status)]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [
            body for method, path, _, body in self.kube.asked if (method, path) == ("POST", PATH)
        ]


async def test_an_event_names_the_lost_address_before_the_status_says_so() -> None:
    bed = Bed()
    await bed.write(PROD, ESTABLISHED)
    assert bed.written == [(PROD, 1)]
    (event,) = bed.events
    assert ADDRESS in event["note"]
    assert "Stage team/prod" in event["note"]
    assert event["regarding"] == {
        "apiVersion": "portico.dev/v1alpha1",
        "kind": "RestApi",
        "namespace": "team",
        "name": "shop",
        "uid": "uid-shop",
    }
    assert event["related"]["name"] == "prod"
    assert event["type"] == "Normal"
    assert len(event["reportingInstance"]) <= 128


async def test_other_statuses_pass_at_once() -> None:
    bed = Bed()
    told: list[Any] = []
    for ref, status in ((PROD, PENDING), (SHOP, ESTABLISHED)):
        bed.herald.begin(ref, "uid", status, lambda *said: told.append(said))
    assert len(told) == 2
    assert not bed.kube.asked


async def test_no_address_no_event() -> None:
    bed = Bed()
    bed.provisional = {}
    await bed.write(PROD, ESTABLISHED)
    bed.provisional = {SHOP: ADDRESS}
    bed.objects[PROD] = an_object(PROD, established=True)
    await bed.write(PROD, ESTABLISHED)
    assert not bed.events


async def test_one_address_is_one_event_whichever_stage_ends_it() -> None:
    bed = Bed()
    other = ObjectRef("Stage", "team", "test")
    bed.objects[other] = an_object(other)
    await bed.write(PROD, ESTABLISHED)
    await bed.write(other, ESTABLISHED)
    await bed.write(PROD, ESTABLISHED)  # the status could not be written the first time
    assert len(bed.events) == 1
    # The address was gone and is back, because its Stages were deleted: there is a new loss.
    bed.provisional = {}
    bed.herald.begin(PROD, "uid", ESTABLISHED, lambda *_: None)
    bed.provisional = {SHOP: ADDRESS}
    await bed.write(other, ESTABLISHED)
    first, second = bed.events
    assert first["metadata"]["name"] != second["metadata"]["name"]


async def test_two_leaders_write_one_event() -> None:
    """Its name follows from API and Stage, so the second is refused as already there."""
    names = set()
    answers: tuple[Any, ...] = ({}, error(409, "AlreadyExists"))
    for answer in answers:
        bed = Bed()
        bed.kube.answers["POST", PATH] = answer
        await bed.write(PROD, ESTABLISHED)
        assert bed.written
        names.add(bed.events[0]["metadata"]["name"])
    assert len(names) == 1


@pytest.mark.parametrize("status", [0, 403, 404, 422, 500])
async def test_a_refused_event_holds_up_no_status(status: int) -> None:
    bed = Bed()
    bed.kube.answers["POST", PATH] = error(status)
    await bed.write(PROD, ESTABLISHED)
    assert bed.written == [(PROD, 1)]


async def test_who_does_not_lead_says_nothing() -> None:
    bed = Bed()
    bed.leads = False
    await bed.write(PROD, ESTABLISHED)
    assert not bed.events
    assert bed.written, "the writer itself decides, and tells"


async def test_the_rest_is_the_writer_s() -> None:
    bed = Bed()
    assert (bed.herald.room(), bed.herald.next_time()) == (7, math.inf)
    await bed.herald.close()
    assert bed.closed
