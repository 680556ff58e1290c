"""One form for all documents that mean the same, so that a digest says whether two do.

Called for every member of an API that is captured. A file has no defaults, an API server fills
them in and sorts the keys; a file may name its own namespace or leave it out. So: what equals its
default is left out, references into the API's own namespace name none, keys are sorted, and a
number is written in one way. Promises: a function of what was decoded; a new field of a later
version changes no digest as long as nobody uses it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from portico_compiler.inventory import Document

_MAX_INT = 2**63
_MOST_OF_A_FLOAT = 10**308
"""No API server takes more, so what becomes of it is nobody's digest."""
_encoder = msgspec.json.Encoder(order="deterministic")


class _Field(NamedTuple):
    attribute: str
    name: str
    default: Any


class _Place(NamedTuple):
    """Where a document stands, and where what it names is looked for."""

    own: str
    """Its namespace."""
    home: str
    """The API's namespace, which goes without saying."""


def encode(value: Any) -> bytes:
    """JSON with sorted keys."""
    return _encoder.encode(value)


def member(document: Document, home: str) -> bytes:
    """A valid Route or Authorizer of an API in the namespace `home`; kept on the document."""
    if document.canonical is None:
        place = _Place(document.ref.namespace, home)
        spec = _struct(document.content.spec, place)
        # Whose member it is stands in the revision once.
        spec.pop("apiRef", None)
        entry: dict[str, Any] = {"name": document.ref.name, "spec": spec}
        if document.ref.namespace != home:
            entry["namespace"] = document.ref.namespace
        document.canonical = encode(entry)
    return document.canonical


def api(document: Document) -> bytes:
    """A valid API."""
    if document.canonical is None:
        ref = document.ref
        spec = _struct(document.content.spec, _Place(ref.namespace, ref.namespace))
        document.canonical = encode({"kind": ref.kind, "name": ref.name, "spec": spec})
    return document.canonical


def _plain(value: Any, place: _Place) -> Any:
    if isinstance(value, msgspec.Struct):
        return _struct(value, place)
    if isinstance(value, Mapping):
        return {key: _plain(item, place) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, place) for item in value]
    # As JSON that went through an API server has it: 100.0 is 100, and integers have 64 bits.
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_INT:
        return int(value)
    if isinstance(value, int) and _MAX_INT <= abs(value) < _MOST_OF_A_FLOAT:
        return float(value)
    return value


def _struct(value: msgspec.Struct, place: _Place) -> dict[str, Any]:
    said: dict[str, Any] = {}
    refers = False
    for field in _fields(type(value)):
        item = getattr(value, field.attribute)
        if field.attribute == "namespace":
            # shapes.Ref and its like: absent means that of the object which refers.
            refers = True
        elif item is not field.default and item != field.default:
            said[field.name] = _plain(item, place)
    if refers:
        namespace = getattr(value, "namespace", None) or place.own
        if namespace != place.home:
            said["namespace"] = namespace
    return said


@functools.cache
def _fields(shape: type[msgspec.Struct]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            field.name,
            field.encode_name,
            field.default
            if field.default_factory is msgspec.NODEFAULT
            else field.default_factory(),
        )
        for field in msgspec.structs.fields(shape)
    )
