"""Packing: cut, compressed, and put together again; or not at all."""

from __future__ import annotations

import base64
import copy
import gzip
import hashlib
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_compiler import Object, ObjectRef
from portico_compiler.revisions import packing
from portico_compiler.revisions.content import Captured
from portico_compiler.revisions.packing import Head

ORIGIN = packing.Origin(
    packing.ApiOrigin(kind="RestApi", name="shop", uid="api-uid"),
    packing.DeploymentOrigin(name="v1", uid="uid"),
)


def captured(data: bytes) -> Captured:
    return Captured(data, hashlib.sha256(data).hexdigest(), 3, 1)


def objects(manifests: list[dict[str, Any]]) -> dict[str, Object]:
    return {
        m["metadata"]["name"]: Object(
            ref=ObjectRef("ControllerRevision", "default", m["metadata"]["name"]),
            body={"data": m["data"]},
            resource_version="",
            uid="",
        )
        for m in manifests
    }


def unpacked(manifests: list[dict[str, Any]]) -> bytes | str:
    known = objects(manifests)
    place = known[manifests[-1]["metadata"]["name"]]
    head = packing.head_of(place)
    return packing.unpack(head, place, known.get) if isinstance(head, Head) else str(head)


def document(size: int) -> bytes:
    """JSON that does not compress."""
    chance = random.Random(size)
    return json.dumps({"x": base64.b64encode(chance.randbytes(size)).decode()}).encode()


def test_a_small_state_is_one_object() -> None:
    owner = {"kind": "RestApi", "uid": "api-uid"}
    (head,) = packing.pack(captured(b"{}"), "v1-x", "ns", ORIGIN, owner)
    assert head["metadata"] == {
        "name": "v1-x",
        "namespace": "ns",
        "labels": {"portico.dev/revision": "v1-x"},
        "ownerReferences": [owner],
    }
    assert (head["apiVersion"], head["kind"], head["revision"]) == (
        "apps/v1",
        "ControllerRevision",
        1,
    )
    assert head["data"]["digest"] == hashlib.sha256(b"{}").hexdigest()
    assert (head["data"]["routes"], head["data"]["authorizers"]) == (3, 1)
    assert head["data"]["api"] == {"kind": "RestApi", "name": "shop", "uid": "api-uid"}
    # As docs/deployments.md shows it: base64 -d | gunzip.
    assert gzip.decompress(base64.b64decode(head["data"]["content"])) == b"{}"
    assert unpacked([head]) == b"{}"


def test_a_large_one_is_cut_and_the_head_comes_last() -> None:
    data = document(2_000_000)
    manifests = packing.pack(captured(data), "v1-x", "", ORIGIN, None)
    names = [m["metadata"]["name"] for m in manifests]
    digest = hashlib.sha256(data).hexdigest()[:8]
    assert names == [*(f"v1-x-{digest}-{n}" for n in range(1, len(names))), "v1-x"]
    assert {m["metadata"]["labels"]["portico.dev/revision"] for m in manifests} == {"v1-x"}
    assert all("namespace" not in m["metadata"] for m in manifests)
    # design.md §3: at most 900 KB each, were nothing of it compressible.
    assert max(len(json.dumps(m)) for m in manifests) <= 900_000
    assert unpacked(manifests) == data


def test_what_compressed_it_does_not_matter() -> None:
    data = document(1_500_000)
    manifests = packing.pack(captured(data), "v1-x", "", ORIGIN, None)
    part = manifests[0]["data"]
    chunk = gzip.decompress(base64.b64decode(part["content"]))
    other = {**part, "content": base64.b64encode(gzip.compress(chunk, 1)).decode()}
    assert other != part
    assert packing.holds_the_same(other, part)
    manifests[0]["data"] = other
    assert unpacked(manifests) == data
    assert not packing.holds_the_same({"format": 1, "content": "AAAA"}, part)
    assert not packing.holds_the_same(manifests[1]["data"], part)
    assert not packing.holds_the_same(None, part)


def damaged(number: int) -> list[dict[str, Any]]:
    return copy.deepcopy(packing.pack(captured(document(1_500_000)), "v1-x", "", ORIGIN, None))


def _bomb() -> str:
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = compressor.compress(bytes(64 * 1024 * 1024)) + compressor.flush()
    return base64.b64encode(zeros).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"content": "AAAA"}, "cannot be unpacked"),
        ({"content": "no base64!"}, "cannot be unpacked"),
        ({"content": base64.b64encode(gzip.compress(b"other")).decode()}, "not what its digest"),
        ({"content": base64.b64encode(gzip.compress(b"x" * 99)[:-9]).decode()}, "cut off"),
        ({"content": _bomb()}, "larger than a part may be"),
        ({"content": 7}, "holds no part"),
        ({"more": 1}, "holds no part"),
    ],
)
def test_a_part_that_is_damaged(change: dict[str, Any], words: str) -> None:
    manifests = damaged(1)
    manifests[1]["data"] |= change
    found = unpacked(manifests)
    assert isinstance(found, str)
    assert words in found
    assert manifests[1]["metadata"]["name"] in found


def test_a_part_that_is_missing() -> None:
    manifests = damaged(1)
    found = unpacked(manifests[1:])
    assert found == (
        "ControllerRevision default/v1-x: part 2 of 4, ControllerRevision "
        f"{manifests[0]['metadata']['name']}, is not there"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"digest": "0" * 64}, "the parts together"),
        ({"sha256": "0" * 64}, "not what its digest says"),
        ({"format": 2}, "is of format 2"),
        ({"digest": "short"}, "holds no revision"),
        ({"routes": "many"}, "holds no revision"),
        ({"parts": [{"name": f"p{n}", "sha256": "0" * 64} for n in range(99)]}, "100 parts"),
    ],
)
def test_a_head_that_is_none(change: dict[str, Any], words: str) -> None:
    (head,) = packing.pack(captured(b"{}"), "v1-x", "", ORIGIN, None)
    head["data"] |= change
    assert words in str(unpacked([head]))


def test_a_part_is_no_head_and_neither_is_somebody_else_s() -> None:
    strangers: list[Any] = [{"format": 1, "content": "x"}, {"spec": {}}]
    for data in strangers:
        (found,) = objects([{"metadata": {"name": "x"}, "data": data}]).values()
        assert packing.head_of(found) is None
    (found,) = objects([{"metadata": {"name": "x"}, "data": None}]).values()
    assert isinstance(packing.head_of(found), str)


def test_names_fit_and_tell_apart() -> None:
    ref = ObjectRef("ApiDeployment", "default", "a" * 38 + ".b.c")
    names = {
        packing.own_name(ref, "d1", "a1"),
        packing.own_name(ref, "d2", "a1"),
        packing.own_name(ref, "d1", "a2"),
        packing.own_name(ref._replace(namespace="other"), "d1", "a1"),
    }
    assert len(names) == 4
    for name in names:
        assert len(f"{name}-01234567-47") <= 63
        assert "." not in name
        assert "--" not in name
    assert packing.own_name(ref, "d1", "a1") in names


def test_what_the_content_names_stands_beside_it() -> None:
    data = json.dumps(
        {
            "api": {"spec": {"functions": {"f": {"service": {"name": "f", "namespace": "fns"}}}}},
            "routes": [
                {"spec": {"integration": {"service": {"name": "a"}}}},
                {"spec": {"integration": {"tlsConfig": {"caRef": {"name": "ca"}}}}},
            ],
        }
    ).encode()
    (head,) = packing.pack(captured(data), "v1-x", "", ORIGIN, None)
    assert packing.mentions(head, "ns") == (frozenset({"ns", "fns"}), frozenset({("ns", "ca")}))
    for nothing in ({}, {"data": 7}, {"data": {"services": 7}}, None):
        assert packing.mentions(nothing, "ns") == (frozenset(), frozenset())


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["digest", "format", "parts", "content", "x"]), x)
        ),
        max_leaves=8,
    )
)
def test_no_data_raises(data: Any) -> None:
    (found,) = objects([{"metadata": {"name": "x"}, "data": data}]).values()
    assert not isinstance(packing.head_of(found), Head)
    packing.mentions({"data": data}, "ns")
    packing.holds_the_same(data, data)
