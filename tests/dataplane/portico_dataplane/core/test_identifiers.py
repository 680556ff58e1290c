"""Ids have AWS's forms, keep what clients bring, and are never handed out twice."""

from __future__ import annotations

import os
import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.identifiers import (
    Chance,
    Names,
    answered_trace_id,
    chosen_request_id,
    extended_id,
    http_request_id,
    id_headers,
    rest_request_id,
    trace_id,
)
from portico_ir.model import ApiKind

ROOT = "1-3152b799-8954dae64eda91bc9a23a7e8"
PARENT = "7fa8c0f79203be72"
CHANCE = bytes(range(12))


@given(st.binary(min_size=16, max_size=16))
def test_a_rest_request_id_is_a_uuid_of_version_4(chance: bytes) -> None:
    made = uuid.UUID(rest_request_id(chance))
    assert made.version == 4
    assert made.variant == uuid.RFC_4122
    assert str(made) == rest_request_id(chance)


@given(st.binary(min_size=11, max_size=11))
def test_short_ids_look_like_those_of_aws(chance: bytes) -> None:
    """AWS §2.4: `Mc7UVioPPHcEKPA=`."""
    assert re.fullmatch(r"[A-Za-z0-9_-]{15}=", extended_id(chance))
    assert http_request_id(chance) == extended_id(chance)


def test_different_chance_makes_different_ids() -> None:
    chances = [bytes([0] * i + [1] + [0] * (15 - i)) for i in range(16)]
    assert len({extended_id(chance[:11]) for chance in chances[:11]}) == 11
    made = {rest_request_id(chance) for chance in chances if chance[6] == chance[8] == 0}
    assert len(made) == 14


def test_chance_is_drawn_seldom_and_never_given_twice() -> None:
    draws: list[int] = []

    def source(count: int) -> bytes:
        draws.append(count)
        return bytes(len(draws) * 16 + i for i in range(count))

    chance = Chance(source, size=16)
    taken = [chance.take(6) for _ in range(4)]
    assert draws == [16, 16]
    assert len(set(b"".join(taken))) == 24
    # More than a draw holds is drawn whole.
    assert len(chance.take(40)) == 40


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (b"11111111-2222-3333-4444-555555555555", True),
        (b"AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE", True),
        (b"not-a-uuid", False),
        (b"11111111-2222-3333-4444-555555555555 ", False),
        (b"11111111-2222-3333-4444-55555555555\n", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_client_s_own_uuid_is_kept(header: bytes | None, kept: bool) -> None:
    """AWS §2.4."""
    generated = "99999999-0000-4000-8000-000000000000"
    wanted = header.decode() if kept and header is not None else generated
    assert chosen_request_id(header, generated) == wanted


@pytest.mark.parametrize(
    ("incoming", "onward"),
    [
        (None, "Root=1-5e0be100-000102030405060708090a0b"),
        (b"", "Root=1-5e0be100-000102030405060708090a0b"),
        (f"Root={ROOT}".encode(), f"Root={ROOT}"),
        (
            f"Root={ROOT};Parent={PARENT};Sampled=1".encode(),
            f"Root={ROOT};Parent={PARENT};Sampled=1",
        ),
        # Any order, any case, spaces after semicolons.
        (
            f"sampled=0; ROOT={ROOT};parent={PARENT}".encode(),
            f"Root={ROOT};Parent={PARENT};Sampled=0",
        ),
        # Without a Root one is made, the rest is kept.
        (b"Sampled=1", "Root=1-5e0be100-000102030405060708090a0b;Sampled=1"),
        # Others pass behind.
        (
            f"Self=1-a-b;Root={ROOT};Lineage=1:6e:0".encode(),
            f"Root={ROOT};Self=1-a-b;Lineage=1:6e:0",
        ),
        # Malformed counts as missing.
        (b"Root=1-x", "Root=1-5e0be100-000102030405060708090a0b"),
        (f"Root={ROOT};Parent=short;Sampled=7".encode(), f"Root={ROOT}"),
        (f"Root={ROOT};evil=\x01;=;x".encode(), f"Root={ROOT}"),
    ],
)
def test_a_trace_id_keeps_what_came_and_makes_the_rest(incoming: bytes, onward: str) -> None:
    """AWS §2.4."""
    assert trace_id(incoming, 0x5E0BE100, CHANCE) == onward


def test_the_answered_trace_id_has_all_parts() -> None:
    """Recorded (test_invocation_trace_id): a Root alone is answered with a Parent."""
    full = f"Root={ROOT};Parent={PARENT};Sampled=1"
    assert answered_trace_id(full, "r") == full
    made = answered_trace_id(f"Root={ROOT}", "r")
    assert re.fullmatch(rf"Root={ROOT};Parent=[0-9a-f]{{16}};Sampled=0", made)
    assert made == answered_trace_id(f"Root={ROOT}", "r")
    assert made != answered_trace_id(f"Root={ROOT}", "another request")
    assert answered_trace_id(f"Root={ROOT};Self=1", "r").endswith(";Sampled=0;Self=1")


@given(st.binary(max_size=200), st.integers(0, 2**40), st.binary(min_size=12, max_size=12))
def test_any_trace_header_gives_one_clean_value(incoming: bytes, now: int, chance: bytes) -> None:
    made = trace_id(incoming, now, chance)
    assert re.match(r"Root=1-[0-9a-fA-F]{8}-[0-9a-fA-F]{24}(;|$)", made)
    assert made.isascii()
    assert made.isprintable()
    assert trace_id(made.encode(), 0, CHANCE) == made


def test_id_headers_are_spelt_as_aws_spells_them() -> None:
    assert id_headers(ApiKind.HTTP, "short", "short") == [(b"Apigw-Requestid", b"short")]
    rest = [(b"x-amzn-RequestId", b"long"), (b"x-amz-apigw-id", b"short")]
    for kind in (ApiKind.REST, ApiKind.WEBSOCKET, None):
        assert id_headers(kind, "long", "short") == rest


def test_ids_in_bulk_are_spelt_as_one_by_one() -> None:
    given: list[bytes] = []

    def source(count: int) -> bytes:
        given.append(os.urandom(count))
        return given[-1]

    names = Names(source)
    seen: set[str] = set()
    for number in range(3 * Names.BATCH):
        own, short, trace = names.draw(1_795_435_200 + number // 100)
        digits, chance = given[-2], given[-1]
        at = number % Names.BATCH
        mine = digits[at * 28 : at * 28 + 28]
        assert own == rest_request_id(mine[:16])
        assert short == extended_id(chance[at * 12 : at * 12 + 11])
        assert trace == trace_id(None, 1_795_435_200 + number // 100, mine[16:])
        seen |= {own, short, trace[-24:]}
    assert len(seen) == 9 * Names.BATCH
    assert len(given) == 6
