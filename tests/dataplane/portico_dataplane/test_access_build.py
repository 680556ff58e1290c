"""Keys and plans units: what is new counts at once, what is refused leaves the old in force."""

from __future__ import annotations

import hashlib

from portico_dataplane.access_build import AccessBuilder, PackedKeys, Part
from portico_ir.access import ApiKey, Plan
from portico_ir.model import GatewayUnit, KeysUnit, Manifest, PlansUnit

ONE, TWO = (hashlib.sha256(text).digest() for text in (b"one", b"two"))


async def never() -> None:
    """Nothing else wants to run."""


def keys(*digests: bytes) -> PackedKeys:
    unit = KeysUnit(keys={digest.hex(): ApiKey(id=digest.hex()[:10]) for digest in digests})
    return PackedKeys(unit)


def manifest(*ids: str) -> Manifest:
    return Manifest(ir_version=1, units=dict.fromkeys(ids, "digest"))


async def test_all_buckets_together() -> None:
    builder = AccessBuilder(never)
    units: dict[str, Part] = {
        "keys/0": keys(ONE),
        "keys/1": keys(TWO),
        "plans": PlansUnit(plans=(Plan(id="p", name="d/p"),)),
    }
    built = await builder.build(manifest(*units), units, {})
    assert built.key_of(b"one") is not None
    assert built.key_of(b"two") is not None
    assert list(built.plans) == ["p"]
    assert builder.current is built
    assert builder.units == {id(unit) for unit in units.values()}


async def test_what_did_not_change_is_not_built_again() -> None:
    builder = AccessBuilder(never)
    units: dict[str, Part] = {"keys/0": keys(ONE), "gateway": GatewayUnit()}
    first = await builder.build(manifest(*units), units, {})
    assert await builder.build(manifest(*units), units, {}) is first
    again = await builder.build(manifest("keys/0"), {"keys/0": keys(TWO)}, {})
    assert again.key_of(b"one") is None
    assert again.key_of(b"two") is not None


async def test_a_unit_that_is_gone_takes_its_keys_along() -> None:
    builder = AccessBuilder(never)
    await builder.build(manifest("keys/0"), {"keys/0": keys(ONE)}, {})
    assert len(await builder.build(manifest(), {}, {})) == 0


async def test_a_refused_unit_leaves_what_was_before() -> None:
    builder = AccessBuilder(never)
    await builder.build(manifest("keys/0", "keys/1"), {"keys/0": keys(ONE), "keys/1": keys()}, {})
    refused = {"keys/0": "not readable"}
    built = await builder.build(manifest("keys/0", "keys/1"), {"keys/1": keys(TWO)}, refused)
    assert built.key_of(b"one") is not None
    assert built.key_of(b"two") is not None


async def test_what_is_no_digest_is_refused() -> None:
    builder = AccessBuilder(never)
    await builder.build(manifest("keys/0"), {"keys/0": keys(ONE)}, {})
    for bad in ("secret-in-the-clear", "ab" * 31, "AB" * 32):
        refused: dict[str, str] = {}
        unit = PackedKeys(KeysUnit(keys={bad: ApiKey(id="k")}))
        built = await builder.build(manifest("keys/0"), {"keys/0": unit}, refused)
        assert refused == {"keys/0": "a key is not named by a digest"}
        assert built.key_of(b"one") is not None


async def test_units_of_another_kind_are_refused() -> None:
    refused: dict[str, str] = {}
    units: dict[str, Part] = {"keys/0": GatewayUnit(), "plans": keys()}
    built = await AccessBuilder(never).build(manifest(*units), units, refused)
    assert refused == {"keys/0": "not a unit of keys", "plans": "not a unit of plans"}
    assert len(built) == 0
