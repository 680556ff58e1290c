"""Bytes of the contract: encode, decode, digest.

Called by the compiler (encode), the data plane (decode) and the command line (whole
snapshots). Promises: the same value encodes to the same bytes; a digest is of bytes as
sent, never of a re-encoding; decoding raises `Undecodable` and nothing else.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, cast

import msgspec

from portico_ir.model import EndpointSet, Manifest, Route, Snapshot, Unit
from portico_ir.secrets import Redacted
from portico_ir.targets import UpstreamTls


class Undecodable(ValueError):
    """Bytes that are not what they should be; the message says where and why."""


def _encode_foreign(value: Any) -> Any:
    if isinstance(value, Redacted):
        return value.reveal()
    raise NotImplementedError(f"not part of the contract: {type(value).__name__}")


def _decode_foreign(wanted: type, value: Any) -> Any:
    if wanted is Redacted and isinstance(value, str):
        return Redacted(value)
    raise NotImplementedError(f"not part of the contract: {wanted!r}")


# Sets and dicts are sorted: the same World must give the same bytes in any order.
_encoder = msgspec.json.Encoder(order="deterministic", enc_hook=_encode_foreign)
_units: msgspec.json.Decoder[Unit] = msgspec.json.Decoder(Unit, dec_hook=_decode_foreign)
_manifests = msgspec.json.Decoder(Manifest)
_snapshots = msgspec.json.Decoder(Snapshot)
_endpoints = msgspec.json.Decoder(EndpointSet)


def encode(value: Unit | Manifest | Snapshot | EndpointSet | Route | UpstreamTls) -> bytes:
    """The canonical bytes of a value of the contract: equal values have equal bytes.

    Of a Route they are the same as within its unit, where they may stand in its place (as Raw).
    """
    return _encoder.encode(_canonical(value))


def _canonical(value: Any) -> Any:
    """`value` with every field that equals its default holding the default itself.

    msgspec omits a default that is the same object, not one that is equal: without this a new
    field would reach a reader of the previous version, which refuses what it does not know.
    """
    if isinstance(value, tuple):
        items = [_canonical(item) for item in value]
        same = all(new is old for new, old in zip(items, value, strict=True))
        return value if same else tuple(items)
    if isinstance(value, dict):
        entries = {key: _canonical(item) for key, item in value.items()}
        return entries if any(entries[key] is not value[key] for key in value) else value
    if not isinstance(value, msgspec.Struct):
        return value
    changes: dict[str, Any] = {}
    defaults = _defaults_of(type(value))
    for name in value.__struct_fields__:
        old = getattr(value, name)
        default = defaults.get(name, msgspec.NODEFAULT)
        if old is default:
            continue
        if default is not msgspec.NODEFAULT and old == default and type(old) is type(default):
            changes[name] = default
            continue
        new = _canonical(old)
        if new is not old:
            changes[name] = new
    return msgspec.structs.replace(value, **changes) if changes else value


@cache
def _defaults_of(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        field.name: field.default
        for field in msgspec.structs.fields(struct)
        if field.default is not msgspec.NODEFAULT
    }


def digest(encoded: bytes | msgspec.Raw) -> str:
    """SHA-256 (hex) of the bytes as sent."""
    return hashlib.sha256(encoded).hexdigest()


def tls_key(terms: UpstreamTls) -> str:
    """By which targets name them: equal terms have equal keys, others never (128 bits)."""
    return digest(encode(terms))[:32]


def decode_unit(encoded: bytes | msgspec.Raw) -> Unit:
    """A unit from its bytes; `Undecodable` for anything else."""
    return cast("Unit", _decoded(_units, encoded))


def decode_manifest(encoded: bytes) -> Manifest:
    """A manifest from its bytes; `Undecodable` for anything else."""
    return cast("Manifest", _decoded(_manifests, encoded))


def decode_snapshot(encoded: bytes) -> Snapshot:
    """A snapshot document from its bytes; units stay encoded."""
    return cast("Snapshot", _decoded(_snapshots, encoded))


def decode_endpoints(encoded: bytes) -> EndpointSet:
    """Endpoints from their bytes."""
    return cast("EndpointSet", _decoded(_endpoints, encoded))


def _decoded(decoder: msgspec.json.Decoder[Any], encoded: bytes | msgspec.Raw) -> object:
    try:
        return decoder.decode(encoded)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)) from error
