"""A pod one version behind the operator, and one ahead: the stream between them still serves.

The versions beside this one are made here: N+1 is this contract with a defaulted field and a frame
kind more, N−1 is what this one reads and writes today, kept byte for byte in `v1.stream.jsonl`.
Add lines there, never change one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portico_ir import codec
from portico_ir.model import (
    IR_VERSION,
    ApiKind,
    ApiUnit,
    Manifest,
    Stage,
)
from portico_ir.policies import Struct
from portico_ir.stream import (
    Acknowledgement,
    Addresses,
    Advance,
    Follow,
    Hello,
    Keeping,
    Offer,
    Settle,
    Settled,
    Token,
    Unknown,
    content_digest,
    decode_from_operator,
    decode_from_pod,
    encode_frame,
    offer_of,
)

_KEPT = Path(__file__).parent / "v1.stream.jsonl"
LINES = [json.loads(line) for line in _KEPT.read_text().splitlines()]
KINDS: dict[str, type] = {
    "hello": Hello,
    "manifest": Offer,
    "marks": Advance,
    "endpoints": Addresses,
    "follow": Follow,
    "acknowledgement": Acknowledgement,
    "token": Token,
    "keeping": Keeping,
    "settle": Settle,
    "settled": Settled,
}


class NewerManifest(Struct, frozen=True, kw_only=True):
    """`Manifest` of the next version: one field more, whose default means today's behaviour."""

    ir_version: int
    units: dict[str, str]
    build: str = ""
    marks: dict[str, str] = {}
    peers: tuple[str, ...] = ()


class NewerApi(Struct, frozen=True, kw_only=True, tag_field="unit", tag="api"):
    """`ApiUnit` of the next version, as far as the test fills it."""

    uid: str
    api_id: str
    kind: ApiKind
    name: str
    namespace: str
    hosts: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    response_cache: str = ""


API = NewerApi(
    uid="u",
    api_id="abcdefghij",
    kind=ApiKind.HTTP,
    name="shop",
    namespace="default",
    hosts=("shop.test",),
    stages=(Stage(name="$default"),),
)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["frame"]["frame"])
def test_what_the_first_version_said_is_understood(line: dict[str, Any]) -> None:
    data = msgspec.json.encode(line["frame"])
    decode = decode_from_operator if line["by"] == "operator" else decode_from_pod
    frame = decode(data)
    assert type(frame) is KINDS[line["frame"]["frame"]]
    again = json.loads(encode_frame(frame))  # type: ignore[arg-type]
    assert _as_far_as(again, line["frame"]) == line["frame"], "and says all it said"


def _as_far_as(now: Any, then: Any) -> Any:
    """Without what later versions put at the end of items that travel without names."""
    if isinstance(then, dict) and isinstance(now, dict):
        return {key: _as_far_as(value, then.get(key)) for key, value in now.items()}
    if isinstance(then, list) and isinstance(now, list) and len(now) >= len(then):
        return [_as_far_as(each, was) for each, was in zip(now, then, strict=False)]
    return now


def test_the_first_version_said_every_kind() -> None:
    said = {(line["by"], line["frame"]["frame"]) for line in LINES}
    assert {kind for _, kind in said} == set(KINDS)
    assert {("operator", "hello"), ("pod", "hello")} <= said


def test_a_pod_reads_a_newer_manifest_that_uses_nothing_new() -> None:
    """Operator one ahead: a new field at its default is not written."""
    nobody: list[str] = []  # equal to the default, not the default itself
    newer = NewerManifest(ir_version=IR_VERSION, units={"gateway": "d"}, peers=tuple(nobody))
    encoded = codec.encode(newer)  # type: ignore[arg-type]
    manifest = codec.decode_manifest(encoded)
    assert codec.digest(codec.encode(manifest)) == codec.digest(encoded)
    assert content_digest(manifest) == content_digest(newer)  # type: ignore[arg-type]


def test_a_pod_reads_a_newer_unit_that_uses_nothing_new() -> None:
    unit = codec.decode_unit(codec.encode(API))  # type: ignore[arg-type]
    assert isinstance(unit, ApiUnit)
    assert unit.hosts == ("shop.test",)


def test_a_pod_refuses_what_is_new_and_used() -> None:
    """An unknown restriction must not be passed over."""
    newer = NewerManifest(ir_version=IR_VERSION, units={}, peers=("10.0.0.1",))
    with pytest.raises(codec.Undecodable, match="peers"):
        codec.decode_manifest(codec.encode(newer))  # type: ignore[arg-type]
    cached = msgspec.structs.replace(API, response_cache="on")
    with pytest.raises(codec.Undecodable, match="response_cache"):
        codec.decode_unit(codec.encode(cached))  # type: ignore[arg-type]


def test_a_pod_one_ahead_reads_what_this_operator_writes() -> None:
    """Pod one ahead: what it does not find means what it means today."""
    manifest = Manifest(ir_version=IR_VERSION, units={"gateway": "d"}, marks={"Route": "1"})
    encoded, _ = offer_of(manifest, {})
    newer = msgspec.json.decode(encoded, type=NewerManifest)
    assert newer.peers == ()
    unit = ApiUnit(uid="u", api_id="a", kind=ApiKind.HTTP, name="n", namespace="s")
    assert msgspec.json.decode(codec.encode(unit), type=NewerApi).response_cache == ""


def test_frames_of_a_newer_peer_are_passed_over_or_read_as_far_as_known() -> None:
    assert decode_from_operator(b'{"frame":"lease","tokens":5}') == Unknown("lease")
    assert decode_from_pod(b'{"frame":"usage","keys":{}}') == Unknown("usage")
    hello = decode_from_pod(b'{"frame":"hello","ir_version":2,"features":["delta"]}')
    assert hello == Hello(ir_version=2)
