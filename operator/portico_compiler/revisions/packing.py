"""Packing: a captured state as ControllerRevisions, and back.

Written by the operator's leader and by `portico deploy`, read by the deployments pass. An object
in etcd takes 1.5 MB and 3,000 Routes exceed it, so the bytes are cut into chunks, each compressed
by itself: which library compressed a chunk does not matter. The *head*, which bears the revision's
name, holds the first chunk and lists the others with their digests; whoever writes, writes it last
and only where there is none, so a revision is there as a whole or not at all. Promises: reading
never raises, and never unpacks more than a chunk is allowed to hold.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from portico_compiler.manifests.shapes import Shape
from portico_compiler.mentions import Mentions
from portico_compiler.passes.apis import identity
from portico_compiler.problems import ObjectRef
from portico_compiler.revisions.content import FORMAT, MAX_ROUTES, Captured
from portico_compiler.world import Object

KIND, API_VERSION = "ControllerRevision", "apps/v1"
LABEL = "portico.dev/revision"
"""On every part of a revision; its value is the revision's name."""
CHUNK_BYTES = 640 * 1024
"""Of content in one object: at most 900 KB in etcd, were it random and not compressible at all."""
MAX_CHUNKS = 48
"""Of one revision: 30 MiB of specs."""
_READABLE_NAME = 40
_GZIP = 31
"""zlib's window bits for gzip's format, so that `base64 -d | gunzip` shows what is in one."""

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class ApiOrigin(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """The API that was captured."""

    kind: str
    """RestApi, HttpApi or WebSocketApi."""
    name: str
    """metadata.name."""
    uid: str = ""
    """metadata.uid; empty: taken from files."""


class DeploymentOrigin(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """The ApiDeployment for which it was captured."""

    name: str
    """metadata.name."""
    namespace: str = ""
    """Its namespace; empty: that of the API."""
    uid: str = ""
    """metadata.uid; empty: taken from files."""


class Origin(NamedTuple):
    """Where a revision comes from."""

    api: ApiOrigin
    """Of which API it is."""
    deployment: DeploymentOrigin
    """For which ApiDeployment."""


class Part(Shape, frozen=True, kw_only=True):
    """A chunk beyond the first."""

    name: str
    """metadata.name of the ControllerRevision."""
    sha256: Digest
    """Of the chunk."""


class SecretName(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """A Secret that the content names."""

    name: str
    """metadata.name."""
    namespace: str = ""
    """Its namespace; empty: that of the revision."""


class _Chunk(Shape, frozen=True, kw_only=True):
    """`data` of a part."""

    format: int
    content: str
    """The chunk: gzip, base64."""


class _Named(msgspec.Struct, frozen=True):
    """`data` of a head, as far as the store wants to know."""

    services: tuple[str, ...] = ()
    secrets: tuple[SecretName, ...] = ()


class Head(Shape, frozen=True, kw_only=True, omit_defaults=True):
    """`data` of the ControllerRevision that bears the revision's name."""

    format: int
    """`FORMAT`."""
    api: ApiOrigin
    """Of which API it is."""
    deployment: DeploymentOrigin
    """For which ApiDeployment."""
    digest: Digest
    """Of the whole content."""
    routes: int
    """How many Routes it holds."""
    authorizers: int
    """How many Authorizers."""
    sha256: Digest
    """Of the first chunk."""
    services: tuple[str, ...] = ()
    """Namespaces of Services that the content names; empty text: that of the revision."""
    secrets: tuple[SecretName, ...] = ()
    """Secrets that the content names."""
    parts: tuple[Part, ...] = ()
    """The other chunks, in order."""
    content: str
    """The first chunk: gzip, base64."""


def revision_name(deployment: str, *sources: str) -> str:
    """A name for what was taken under the name of `deployment`: the same for the same sources."""
    readable = deployment.replace(".", "-")[:_READABLE_NAME].rstrip("-")
    return f"{readable}-{identity('/'.join(sources))}"


def own_name(deployment: ObjectRef, deployment_uid: str, api_uid: str) -> str:
    """Name of the one revision that an ApiDeployment may have of an API.

    It says nothing of the content: of two leaders that capture two states the second finds the
    name taken. An API or ApiDeployment of the same name that was made anew has another one.
    """
    return revision_name(deployment.name, deployment.namespace, deployment_uid, api_uid)


def why_too_large(captured: Captured) -> str:
    """Why a state cannot be kept; empty when it can."""
    if captured.routes > MAX_ROUTES:
        return f"{captured.routes} Routes are more than the {MAX_ROUTES} that a revision may hold"
    limit = MAX_CHUNKS * CHUNK_BYTES
    if len(captured.data) > limit:
        return f"{len(captured.data)} bytes of specs are more than the {limit} of a revision"
    return ""


def pack(
    captured: Captured, name: str, namespace: str, origin: Origin, owner: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """ControllerRevisions in the order in which they must be written: the head comes last.

    `owner` is an ownerReference; `namespace` may be empty in files.
    """
    data = captured.data
    chunks = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    # Two states never share a part: a half-written one is in nobody's way.
    names = [f"{name}-{captured.digest[:8]}-{number}" for number in range(1, len(chunks))]
    further = list(zip(names, chunks[1:], strict=True))
    parts = tuple(Part(name=part, sha256=_sha256(chunk)) for part, chunk in further)
    named = Mentions("")
    named.walk(msgspec.json.decode(data))
    head = Head(
        format=FORMAT,
        api=origin.api,
        deployment=origin.deployment,
        digest=captured.digest,
        routes=captured.routes,
        authorizers=captured.authorizers,
        sha256=_sha256(chunks[0]),
        services=tuple(sorted(named.services)),
        secrets=tuple(SecretName(name=n, namespace=ns) for ns, n in sorted(named.secrets)),
        parts=parts,
        content=_compressed(chunks[0]),
    )
    others = [
        _manifest(part, name, namespace, _Chunk(format=FORMAT, content=_compressed(chunk)), owner)
        for part, chunk in further
    ]
    return [*others, _manifest(name, name, namespace, head, owner)]


def head_of(object_: Object) -> Head | str | None:
    """The head that a ControllerRevision is; None for a part; or why it is neither."""
    data = object_.body.get("data")
    if isinstance(data, dict) and "digest" not in data:
        return None
    try:
        head = msgspec.convert(data, Head)
    except (msgspec.ValidationError, RecursionError) as why:
        return f"{object_.ref} holds no revision: {why}"
    if head.format != FORMAT:
        return f"{object_.ref} is of format {head.format}, and only {FORMAT} is known here"
    if len(head.parts) >= MAX_CHUNKS:
        return f"{object_.ref} has {len(head.parts) + 1} parts, more than {MAX_CHUNKS}"
    return head


def unpack(head: Head, place: Object, find: Callable[[str], Object | None]) -> bytes | str:
    """The content, its digest checked; or what is wrong. `find`: by name, beside the head."""
    first = _chunk(head.content, head.sha256)
    if isinstance(first, str):
        return f"{place.ref}: {first}"
    chunks = [first]
    for number, part in enumerate(head.parts, 2):
        found = find(part.name)
        if found is None:
            whole = len(head.parts) + 1
            return f"{place.ref}: part {number} of {whole}, {KIND} {part.name}, is not there"
        try:
            held = msgspec.convert(found.body.get("data"), _Chunk)
        except (msgspec.ValidationError, RecursionError) as why:
            return f"{found.ref} holds no part of a revision: {why}"
        chunk = _chunk(held.content, part.sha256)
        if isinstance(chunk, str):
            return f"{found.ref}: {chunk}"
        chunks.append(chunk)
    data = b"".join(chunks)
    if _sha256(data) != head.digest:
        return f"{place.ref}: the parts together are not what its digest says"
    return data


def mentions(body: Any, namespace: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    """Namespaces of Services, and Secrets, that a ControllerRevision's content names."""
    data = body.get("data") if isinstance(body, dict) else None
    try:
        named = msgspec.convert(data, _Named)
    except (msgspec.ValidationError, RecursionError):
        return frozenset(), frozenset()  # Nothing of it will be served.
    return (
        frozenset(service or namespace for service in named.services),
        frozenset((secret.namespace or namespace, secret.name) for secret in named.secrets),
    )


def holds_the_same(there: Any, wanted: Any) -> bool:
    """Whether the `data` of two parts is the same chunk, whoever compressed it."""
    try:
        chunks = [_unpacked(msgspec.convert(data, _Chunk).content) for data in (there, wanted)]
    except (msgspec.ValidationError, RecursionError):
        return False
    return isinstance(chunks[0], bytes) and chunks[0] == chunks[1]


def _manifest(
    name: str, revision: str, namespace: str, data: Head | _Chunk, owner: dict[str, Any] | None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": {LABEL: revision}}
    if namespace:
        metadata["namespace"] = namespace
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        # Kubernetes wants a number here; which of several states is newer nobody asks it.
        "revision": 1,
        "data": msgspec.to_builtins(data),
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _compressed(chunk: bytes) -> str:
    compressor = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    return base64.b64encode(compressor.compress(chunk) + compressor.flush()).decode()


def _chunk(content: str, sha256: str) -> bytes | str:
    chunk = _unpacked(content)
    if isinstance(chunk, bytes) and _sha256(chunk) != sha256:
        return "its content is not what its digest says"
    return chunk


def _unpacked(content: str) -> bytes | str:
    decompressor = zlib.decompressobj(_GZIP)
    try:
        packed = base64.b64decode(content, validate=True)
        # One byte more than there may be: with less room the end would not be seen.
        chunk = decompressor.decompress(packed, CHUNK_BYTES + 1)
    except (binascii.Error, ValueError, zlib.error) as why:
        return f"its content cannot be unpacked: {why}"
    if not decompressor.eof or len(chunk) > CHUNK_BYTES:
        return "its content cannot be unpacked: it is cut off, or larger than a part may be"
    return chunk
