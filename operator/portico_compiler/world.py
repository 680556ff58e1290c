"""World: everything the compiler may know, frozen, in no particular order.

Made from files (`World.from_documents`, called by the command line and by tests) or from the
operator's store of cluster objects. Promises: a World is plain data; two Worlds that differ
only in the order of their objects compile to the same bytes. Age decides conflicts, so it is
a field of each object (`created`), never a position.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from portico_compiler.manifests.kinds import GROUP, KINDS, Kind
from portico_compiler.problems import ObjectRef, Problem, Reason, Source, field_path
from portico_ir.secrets import Redacted

__all__ = [
    "Object",
    "ObjectRef",
    "Settings",
    "Source",
    "SourceDocument",
    "World",
]

CURRENT = "*"
"""In `Object.recorded` of a Stage: no revision, but the current routes."""
DEFAULT_ADDRESS_TEMPLATE = "{api}.{namespace}.{baseDomain}"
"""Default endpoint hosts, as design.md §2 has them."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the whole data plane; a PorticoClass overrides what it names."""

    base_domain: str = "localhost"
    """Parent of every default endpoint's host."""
    mode: Literal["files", "cluster"] = "files"
    """Files have no EndpointSlice controller and resolve Services through `backends`."""
    account_id: str = "000000000000"
    """Twelve digits, in ARNs and `$context.accountId`."""
    region: str = "us-east-1"
    """In ARNs and signature scopes."""
    address_template: str = DEFAULT_ADDRESS_TEMPLATE
    """Host of a default endpoint; `{api}`, `{namespace}` and `{baseDomain}` are filled in."""
    local_paths: bool = False
    """Serve `/_aws/execute-api/<apiId>/<stage>/…` under any host."""
    sole_api_fallback: bool = False
    """When there is just one API, an unknown host reaches it too."""
    egress_open: bool = False
    """No address is refused to `url` targets."""
    egress_allow: tuple[str, ...] = ()
    """CIDRs or hosts that `url` targets may reach although they are private."""
    trusted_proxies: tuple[str, ...] = ()
    """CIDRs whose `X-Forwarded-For` is believed."""
    scheme: Literal["http", "https"] = "http"
    """In the URLs that people are shown."""
    port: int | None = None
    """In the URLs that people are shown; None: the scheme's own."""
    tls_port: int | None = None
    """Where clients reach https, in URLs and redirects; None: 443."""
    backends: Mapping[str, str] = {}
    """`namespace/service` to the URL that answers for it (files: portico.dev.yaml)."""
    build: str = ""
    """Version of the compiler, written into the manifest."""
    today: str = ""
    """`YYYYMMDD` in UTC; signatures verify around it (AWS §6.3). Empty: none does."""
    key_generation: bool = False
    """The operator may make Secrets, for classes that have keys generated."""
    marks: Mapping[str, str] = {}
    """Highest resourceVersion by kind (cluster), written into the manifest."""
    classes: tuple[str, ...] = ()
    """PorticoClasses with a data plane each, which gets nothing of another's; empty: one data
    plane serves all of them."""


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest: who it is, how old, which version, and what it says, undecoded."""

    ref: ObjectRef
    """Kind, namespace and name."""
    body: Mapping[str, Any]
    """The document without apiVersion, kind, metadata and status; JSON values only."""
    resource_version: str
    """Changes whenever the object does; with `uid` the key of every memo."""
    uid: str
    """Survives edits, not a deletion."""
    created: str = ""
    """Age: the smaller text is the elder; ties are decided by namespace and name."""
    generation: int = 1
    """metadata.generation, for `observedGeneration`."""
    labels: Mapping[str, str] = {}
    """metadata.labels."""
    annotations: Mapping[str, str] = {}
    """Those of metadata.annotations that are ours: `portico.dev/…`."""
    recorded: str = ""
    """What the status says it came to, where nothing else can: of a Stage the revision that it
    serves (`CURRENT`: the current routes), of an ApiDeployment the digest that it took."""
    established: bool = False
    """Stage: it was programmed on every live pod once, and since then its API has no implicit
    `$default` stage (design.md §3). In files, which wait for no pods, from the start."""
    source: Source | None = None
    """File and document, when there is one."""


class SourceDocument(NamedTuple):
    """A YAML document as the reader of files hands it over."""

    raw: Any
    """What the document holds; anything but a mapping is a Problem."""
    file: str
    """Path as the user gave it."""
    index: int = 0  # type: ignore[assignment]  # nobody looks for a value in it
    """Number of the document in its file, from 0."""
    line: int | None = None
    """First line of the document, from 1."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """The compiler's whole input."""

    settings: Settings = Settings()
    """What is not an object."""
    objects: tuple[Object, ...] = ()
    """Every object, in any order, no two with one ref."""
    namespaces: Mapping[str, Mapping[str, str]] | None = None
    """Labels of namespaces, as far as a class chooses by them; None: there are none (files)."""

    @staticmethod
    def from_documents(
        documents: Iterable[SourceDocument], settings: Settings | None = None
    ) -> tuple[World, list[Problem]]:
        """Objects from files, and what kept the other documents from being one.

        Lists are opened. Age is the order of the documents. Of two objects with one ref the
        first stays.
        """
        intake = _Intake()
        for document in documents:
            intake.take(document)
        objects = tuple(intake.objects.values())
        return World(settings=settings or Settings(), objects=objects), intake.problems


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")
_SUBDOMAIN = re.compile(
    r"(?!.{254})[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
)
_OWN = f"{GROUP}/"
_ENVELOPE = frozenset({"apiVersion", "kind", "metadata", "status"})


class _Intake:
    """Collects objects and problems while documents pass."""

    def __init__(self) -> None:
        self.objects: dict[ObjectRef, Object] = {}
        self.problems: list[Problem] = []
        self._taken = 0

    def take(self, document: SourceDocument) -> None:
        """One document: an object, a List of objects, or a problem. Empty ones are nothing."""
        if document.raw is None:
            return
        source = Source(document.file, document.index, document.line)
        try:
            # As kubectl reads YAML: through JSON, so that keys are texts and values JSON's.
            raw = msgspec.json.decode(msgspec.json.encode(document.raw))
        except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as why:
            message = f"the document holds something that JSON cannot: {why}"
            self._refuse(ObjectRef("", "", ""), "", Reason.MALFORMED_DOCUMENT, message, source)
            return
        if isinstance(raw, dict) and raw.get("kind") == "List":
            self._open_list(raw, source)
        else:
            self._add(raw, source, "")

    def _open_list(self, raw: dict[str, Any], source: Source) -> None:
        items = raw.get("items")
        if not isinstance(items, list):
            message = "a List holds its objects in items"
            self._refuse(ObjectRef("List", "", ""), "items", Reason.MISSING_FIELD, message, source)
            return
        for position, item in enumerate(items):
            self._add(item, source, field_path("items", position))

    def _add(self, raw: Any, source: Source, inside: str) -> None:
        nobody = ObjectRef("", "", "")
        if not isinstance(raw, dict):
            message = f"an object is a mapping, not {_json_type(raw)}"
            self._refuse(nobody, inside, Reason.MALFORMED_DOCUMENT, message, source)
            return
        metadata = raw.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        ref = ObjectRef(_text(raw.get("kind")), "", _text(metadata.get("name")))
        kind = self._kind(raw, ref, source, inside)
        if kind is None:
            return
        if kind.namespaced:
            ref = ref._replace(namespace=_text(metadata.get("namespace")) or "default")
        if not self._named_well(ref, kind, metadata, source, inside):
            return
        self._taken += 1
        if ref in self.objects:
            first = self.objects[ref].source
            message = f"{ref} is already defined in {first}"
            self._refuse(ref, inside, Reason.DUPLICATE_OBJECT, message, source)
            return
        self.objects[ref] = _object(ref, raw, metadata, self._taken, source)

    def _kind(
        self, raw: dict[str, Any], ref: ObjectRef, source: Source, inside: str
    ) -> Kind | None:
        def path(name: str) -> str:
            return f"{inside}.{name}" if inside else name

        if not ref.kind:
            message = "every object says its kind"
            self._refuse(ref, path("kind"), Reason.MALFORMED_DOCUMENT, message, source)
            return None
        kind = KINDS.get(ref.kind)
        version = raw.get("apiVersion")
        if kind is None:
            message = f"kind {ref.kind!r} is not read here; known are {', '.join(KINDS)}, List"
            self._refuse(ref, path("kind"), Reason.UNKNOWN_KIND, message, source)
            return None
        if version not in kind.api_versions:
            message = f"{ref.kind} is {' or '.join(kind.api_versions)}, not {version!r}"
            self._refuse(ref, path("apiVersion"), Reason.UNKNOWN_KIND, message, source)
            return None
        return kind

    def _named_well(
        self, ref: ObjectRef, kind: Kind, metadata: dict[str, Any], source: Source, inside: str
    ) -> bool:
        prefix = f"{inside}.metadata" if inside else "metadata"
        if not ref.name:
            message = "metadata.name is required"
            self._refuse(ref, f"{prefix}.name", Reason.MALFORMED_DOCUMENT, message, source)
            return False
        fine = True
        if not _SUBDOMAIN.match(ref.name):
            message = f"{ref.name!r} is not a name: lower-case letters, digits, '-' and '.'"
            self._refuse(ref, f"{prefix}.name", Reason.INVALID_NAME, message, source)
            fine = False
        elif kind.label_name and not _LABEL.match(ref.name):
            # The name is the first label of the API's host (design.md §3, Identities).
            message = f"{ref.name!r} must be a DNS label: it is part of the API's host name"
            self._refuse(ref, f"{prefix}.name", Reason.INVALID_NAME, message, source)
            fine = False
        if ref.namespace and not _LABEL.match(ref.namespace):
            message = f"{ref.namespace!r} is not a DNS label"
            self._refuse(ref, f"{prefix}.namespace", Reason.INVALID_NAME, message, source)
            fine = False
        return fine

    def _refuse(
        self, ref: ObjectRef, field: str, reason: Reason, message: str, source: Source
    ) -> None:
        self.problems.append(Problem(ref, field, reason, message, source=source))


def _object(
    ref: ObjectRef, raw: dict[str, Any], metadata: dict[str, Any], age: int, source: Source
) -> Object:
    body = {key: value for key, value in raw.items() if key not in _ENVELOPE}
    # In the order of the file: of several templates the first may count (AWS §3.5).
    annotations = own_annotations(metadata.get("annotations"))
    content = msgspec.json.encode([body, metadata.get("labels"), *annotations.items()])
    if ref.kind == "Secret":
        body |= {key: _redacted(body[key]) for key in ("data", "stringData") if key in body}
    labels = metadata.get("labels")
    generation = metadata.get("generation")
    return Object(
        ref=ref,
        body=body,
        resource_version=hashlib.sha256(content).hexdigest(),
        uid=uid_of(ref),
        created=f"{age:010d}",
        generation=generation if type(generation) is int else 1,
        labels=_labels(labels),
        annotations=annotations,
        established=ref.kind == "Stage",
        source=source,
    )


def uid_of(ref: ObjectRef) -> str:
    """A uid for an object of a file: the same for the same ref, in the shape of a UUID."""
    digest = hashlib.sha256("/".join(ref).encode(errors="surrogatepass")).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))


def _redacted(entries: Any) -> Any:
    if not isinstance(entries, dict):
        return entries
    return {k: Redacted(v) if isinstance(v, str) else v for k, v in entries.items()}


def own_annotations(annotations: Any) -> dict[str, str]:
    """Of all annotations those that mean something to us."""
    if not isinstance(annotations, Mapping):
        return {}
    return {
        key: value
        for key, value in annotations.items()
        if isinstance(key, str) and key.startswith(_OWN) and isinstance(value, str)
    }


def _labels(labels: Any) -> dict[str, str]:
    if not isinstance(labels, dict):
        return {}
    return {key: value for key, value in labels.items() if isinstance(value, str)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _json_type(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    return "a text" if isinstance(value, str) else f"{value!r}"[:60]
