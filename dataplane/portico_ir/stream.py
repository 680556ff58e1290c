"""Frames of the configuration stream between an operator and a data-plane pod.

Written and read by `portico_operator.delivery` and `portico_dataplane.feed`, which may be one
version apart: a frame of an unknown kind decodes to `Unknown` and is passed over, an unknown
field of a known frame is ignored. So a new frame or field may only add; what must not be passed
over raises `IR_VERSION`. What decides over requests travels inside (`Offer.manifest`, units) and
is as strict as the rest of the contract.
"""

from __future__ import annotations

import hashlib
from typing import Any, cast

import msgspec

from portico_ir.codec import Undecodable, decode_manifest, encode
from portico_ir.leases import Exchange, Settlement
from portico_ir.model import Endpoint, Manifest
from portico_ir.secrets import Redacted

PATH = "/stream"
"""Where an operator answers WebSocket requests of pods."""

UNITS_PATH = "/units/"
"""Followed by a digest: the bytes of one unit."""

AUDIENCE = "portico-operator"
"""Of the projected token that a pod shows."""

Marks = dict[str, str]
"""A resourceVersion by kind. A manifest's own say which changes are in it; those of frames say how
far the operator has looked, and a quiet kind moves there too, by lists and bookmarks."""

WHOLE = "manifest"
"""Unit id under which an acknowledgement refuses a manifest as such: nothing of it is served."""


class _Frame(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="frame", tag=True
):
    """What every frame has in common; fields that a newer peer added are ignored."""


class Hello(_Frame, frozen=True, kw_only=True, tag="hello"):
    """The first frame, both ways: who I am and what I have."""

    ir_version: int
    """What I read and write."""
    build: str = ""
    """My version, for people."""
    class_name: str = ""
    """From the operator: the class that the pod's token stands for."""
    pod: str = ""
    """From the pod: its name, for people; the operator believes the token."""
    digest: str = ""
    """Of the manifest I offer, or serve; empty: none yet."""
    content: str = ""
    """`content_digest` of it."""
    marks: Marks = {}
    """How far the operator has looked; from the pod: what it knows of what it serves."""
    changed: Marks = {}
    """The manifest's own marks: the newest changes in it. Empty: those above."""


class Offer(_Frame, frozen=True, kw_only=True, tag="manifest"):
    """From the operator: serve this. Only the latest is ever sent."""

    manifest: msgspec.Raw
    """The manifest's own bytes, kept verbatim because the digest is of these bytes."""
    marks: Marks = {}
    """How new it is by now: at least the manifest's own marks."""
    units: dict[str, msgspec.Raw] = {}
    """By digest, what is new in it since the manifest that was sent before, unless that is much:
    so that an edit costs no further question. What is not here is fetched."""


class Advance(_Frame, frozen=True, kw_only=True, tag="marks"):
    """From the operator: what I offer, without its bytes, and up to when it holds.

    To a pod that follows: nothing but the marks changed. To others: what they could have.
    """

    digest: str
    """Of the manifest."""
    content: str
    """`content_digest` of it."""
    marks: Marks = {}
    """How new it is by now."""
    changed: Marks = {}
    """The newest changes in it. Empty: those above."""


class Addresses(_Frame, frozen=True, kw_only=True, tag="endpoints"):
    """From the operator: addresses of upstreams, all of them or what changed."""

    sequence: int
    """The state after this frame; counts per operator."""
    since: int | None = None
    """The state it changes; None: this is the whole set."""
    upstreams: dict[str, tuple[Endpoint, ...]] = {}
    """Upstream id to its ready addresses; empty: none is ready."""
    removed: tuple[str, ...] = ()
    """Upstream ids that nothing names any more."""
    marks: Marks = {}
    """How new the operator's world is."""
    version: int = 0
    """How new the addresses are, comparable between operators; 0: only the marks tell."""


class Follow(_Frame, frozen=True, kw_only=True, tag="follow"):
    """From the pod: send me manifests and endpoints, or no longer."""

    on: bool = True
    """A pod follows one operator and reports to all."""
    content: str = ""
    """`content_digest` of what it serves, which need not be sent."""


class Acknowledgement(_Frame, frozen=True, kw_only=True, tag="acknowledgement"):
    """From the pod: what it serves now, whichever operator it has that from."""

    digest: str
    """Of the manifest it answers."""
    content: str = ""
    """`content_digest` of it."""
    refused: dict[str, str] = {}
    """Unit id to the reason it keeps its previous version; `WHOLE` for all of it."""
    marks: Marks = {}
    """How new it is by now."""
    build: str = ""
    """Of the operator it came from."""


class Token(_Frame, frozen=True, kw_only=True, tag="token"):
    """From the pod: its token has been renewed."""

    token: Redacted
    """The new one."""


class Keeping(_Frame, frozen=True, kw_only=True, tag="keeping"):
    """From the operator: whether pods settle their leases with me (design §7)."""

    term: int = -1
    """The higher one counts, should two say so; -1: not with me."""


class Settle(_Frame, frozen=True, kw_only=True, tag="settle"):
    """From the pod, to the operator that keeps: what was counted, and what is wanted."""

    exchange: Exchange


class Settled(_Frame, frozen=True, kw_only=True, tag="settled"):
    """From the operator that keeps: the answer."""

    settlement: Settlement


class Unknown(msgspec.Struct, frozen=True):
    """A frame of a kind that this version does not have; to be passed over."""

    kind: str


FromOperator = Hello | Offer | Advance | Addresses | Keeping | Settled
FromPod = Hello | Follow | Acknowledgement | Token | Settle


class _Kind(msgspec.Struct, frozen=True):
    frame: str


def _reveal(value: Any) -> Any:
    if isinstance(value, Redacted):
        return value.reveal()
    raise NotImplementedError(f"not part of the stream: {type(value).__name__}")


def _redact(wanted: type, value: Any) -> Any:
    if wanted is Redacted and isinstance(value, str):
        return Redacted(value)
    raise NotImplementedError(f"not part of the stream: {wanted!r}")


_encoder = msgspec.json.Encoder(order="deterministic", enc_hook=_reveal)
_kinds = msgspec.json.Decoder(_Kind)
_from_operator: msgspec.json.Decoder[FromOperator] = msgspec.json.Decoder(FromOperator)
_from_pod: msgspec.json.Decoder[FromPod] = msgspec.json.Decoder(FromPod, dec_hook=_redact)
_OPERATOR_KINDS = frozenset({"hello", "manifest", "marks", "endpoints", "keeping", "settled"})
_POD_KINDS = frozenset({"hello", "follow", "acknowledgement", "token", "settle"})


def encode_frame(frame: FromOperator | FromPod) -> bytes:
    """A frame as it travels."""
    return _encoder.encode(frame)


def decode_from_operator(data: bytes | str) -> FromOperator | Unknown:
    """A frame of an operator; `Undecodable` for what is no frame."""
    return cast("FromOperator | Unknown", _decoded(_from_operator, _OPERATOR_KINDS, data))


def decode_from_pod(data: bytes | str) -> FromPod | Unknown:
    """A frame of a pod; `Undecodable` for what is no frame."""
    return cast("FromPod | Unknown", _decoded(_from_pod, _POD_KINDS, data))


def _decoded(
    decoder: msgspec.json.Decoder[Any], known: frozenset[str], data: bytes | str
) -> object:
    try:
        kind = _kinds.decode(data).frame
        if kind not in known:
            return Unknown(kind)
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)) from error


def manifest_of(offer: Offer) -> Manifest:
    """The manifest inside; `Undecodable` when this version cannot read it."""
    return decode_manifest(bytes(offer.manifest))


def offer_of(manifest: Manifest, marks: Marks) -> tuple[bytes, bytes]:
    """The bytes of a manifest, and of the frame that offers it."""
    encoded = encode(manifest)
    return encoded, encode_frame(Offer(manifest=msgspec.Raw(encoded), marks=marks))


def content_digest(manifest: Manifest) -> str:
    """Of what a manifest makes a pod do: the same for two operators that say the same, though
    their marks and builds differ. Over lines `id digest`, so no encoder has a part in it."""
    total = hashlib.sha256(b"%d\n" % manifest.ir_version)
    for unit in sorted(manifest.units):
        total.update(f"{unit} {manifest.units[unit]}\n".encode())
    return total.hexdigest()


def is_forward(new: Marks, old: Marks) -> bool:
    """Whether nothing in `new` is older than in `old`.

    Resource versions compare as numbers (Kubernetes 1.35 says so of its own kinds). A kind that
    `new` does not have is no longer served, which makes nothing older.
    """
    for kind, had in old.items():
        has = new.get(kind, had)
        if has == had:
            continue
        if not (has.isdecimal() and had.isdecimal() and int(has) > int(had)):
            return False
    return True


def merged(marks: Marks, others: Marks) -> Marks:
    """The higher of each kind."""
    result = dict(marks)
    for kind, mark in others.items():
        if is_forward({kind: mark}, {kind: result.get(kind, mark)}):
            result[kind] = mark
    return result
