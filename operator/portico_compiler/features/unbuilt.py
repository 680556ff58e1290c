"""What is decoded but not built yet: one table, from which later work deletes rows.

Called by the accept pass on every object. A row says whether its field restricts who or what
gets through: then whatever it should have restricted fails closed (design.md §3) with
`Accepted=False NotImplemented`; or whether it is only listed in the condition `Implemented`.
Nothing else in the compiler knows which fields are built.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from portico_compiler.problems import field_path


class Effect(enum.StrEnum):
    """What not having a field built means."""

    RESTRICTS = "restricts"
    """Ignoring it would let through what it should stop: fail closed."""
    LISTED = "listed"
    """Ignoring it changes how, not whether: say so."""


RESTRICTS, LISTED = Effect.RESTRICTS, Effect.LISTED
Body = Mapping[str, Any]


class Row(NamedTuple):
    """One field, or every field below one."""

    path: str
    """Dotted; `*` is every entry of a mapping or list."""
    effect: Effect
    """Restricts, or is listed."""
    idle: Any = None
    """A value besides the empty ones that asks for nothing."""
    when: Callable[[Body], bool] | None = None
    """Asks for something only on such documents."""


class Unbuilt(NamedTuple):
    """A field that a document uses."""

    steps: tuple[str | int, ...]
    """Where it stands, wildcards filled in."""
    effect: Effect
    """What its absence means."""

    @property
    def field(self) -> str:
        """The path as people write it."""
        return field_path(*self.steps)


def _of_http_api(body: Body) -> bool:
    return _part(body, "spec", "apiRef").get("kind") == "HttpApi"


def _calls_function(body: Body) -> bool:
    return _part(body, "spec", "integration").get("type") == "AWS_PROXY"


def _requires_parameters(body: Body) -> bool:
    declared = _part(body, "spec", "requestParameters")
    # What stands in the path is always there.
    return any(need is True and ".path." not in key for key, need in declared.items())


def _part(body: Body, *steps: str) -> Mapping[str, Any]:
    part: Any = body
    for step in steps:
        part = part.get(step) if isinstance(part, Mapping) else None
    return part if isinstance(part, Mapping) else {}


KINDS: Mapping[str, Effect] = {
    "WebSocketApi": RESTRICTS,
}
"""Kinds of which nothing is built."""

_STAGE_SETTINGS = ("spec.defaultRouteSettings", "spec.routeSettings.*")

FIELDS: Mapping[str, tuple[Row, ...]] = {
    "RestApi": (
        Row("spec.binaryMediaTypes", LISTED),
        Row("spec.minimumCompressionSize", LISTED),
        Row("spec.models", LISTED),
        Row("spec.gatewayResponses", LISTED),
        Row("spec.openApi", LISTED),
    ),
    "HttpApi": (Row("spec.openApi", LISTED),),
    "Route": (
        Row("spec.requestValidator.validateRequestBody", RESTRICTS),
        Row("spec.requestValidator.validateRequestParameters", RESTRICTS),
        # AWS §3.3, §3.11: declarations, which stop nobody until a validator uses them.
        Row("spec.requestParameters", LISTED, when=_requires_parameters),
        Row("spec.requestModels", LISTED),
        Row("spec.methodResponses", LISTED),
        Row("spec.routeResponseSelectionExpression", LISTED),
        Row("spec.routeResponses", LISTED),
        Row("spec.modelSelectionExpression", LISTED),
        # AWS §4.6: may set headers that a backend trusts.
        Row("spec.integration.requestParameters", RESTRICTS, when=_of_http_api),
        Row("spec.integration.responseParameters", LISTED, when=_of_http_api),
        Row("spec.integration.connectionType", LISTED, idle="INTERNET"),
        Row("spec.integration.credentials", LISTED),
        Row("spec.integration.contentHandling", LISTED),
        Row("spec.integration.responses.*.contentHandling", LISTED),
        Row("spec.integration.cacheKeyParameters", LISTED),
        Row("spec.integration.cacheNamespace", LISTED),
        Row("spec.integration.responseTransferMode", LISTED, idle="BUFFERED", when=_calls_function),
        Row("spec.integration.templateSelectionExpression", LISTED),
    ),
    "Stage": (
        Row("spec.canarySettings", RESTRICTS),
        Row("spec.clientCertificateRef", RESTRICTS),
        Row("spec.methodSettings.*.loggingLevel", LISTED, idle="OFF"),
        Row("spec.methodSettings.*.dataTraceEnabled", LISTED),
        Row("spec.methodSettings.*.cachingEnabled", LISTED),
        Row("spec.methodSettings.*.cacheTtlInSeconds", LISTED),
        Row("spec.methodSettings.*.cacheDataEncrypted", LISTED),
        Row("spec.methodSettings.*.requireAuthorizationForCacheControl", LISTED, idle=True),
        Row("spec.methodSettings.*.unauthorizedCacheControlHeaderStrategy", LISTED),
        *(Row(f"{part}.loggingLevel", LISTED, idle="OFF") for part in _STAGE_SETTINGS),
        *(Row(f"{part}.dataTraceEnabled", LISTED) for part in _STAGE_SETTINGS),
        Row("spec.accessLogSettings.destination", LISTED),
        Row("spec.cacheClusterEnabled", LISTED),
        Row("spec.cacheClusterSize", LISTED),
        Row("spec.tracingEnabled", LISTED),
    ),
}
"""Fields by kind; a kind's own row above comes first."""


class _Branch:
    """Rows by the next step of their path, so that a document is walked once."""

    __slots__ = ("below", "rows")

    def __init__(self) -> None:
        self.below: dict[str, _Branch] = {}
        self.rows: list[tuple[int, Row]] = []


def used_by(kind: str, body: Body) -> tuple[Unbuilt, ...]:
    """Every unbuilt field that the document asks something of, in the order of the table."""
    if kind not in FIELDS:
        return ()
    found = list(_used(_tree(kind), body, body, ()))
    found.sort(key=lambda pair: pair[0])
    return tuple(unbuilt for _, unbuilt in found)


@functools.cache
def _tree(kind: str) -> _Branch:
    root = _Branch()
    for number, row in enumerate(FIELDS[kind]):
        branch = root
        for step in row.path.split("."):
            branch = branch.below.setdefault(step, _Branch())
        branch.rows.append((number, row))
    return root


def _used(
    branch: _Branch, value: Any, body: Body, steps: tuple[str | int, ...]
) -> Iterator[tuple[int, Unbuilt]]:
    for number, row in branch.rows:
        if _asks(value, row.idle) and (row.when is None or row.when(body)):
            yield number, Unbuilt(steps, row.effect)
    if not branch.below:
        return
    entries: Any = ()
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    every = branch.below.get("*")
    for key, entry in entries:
        below = every if every is not None else branch.below.get(key)
        if below is not None:
            yield from _used(below, entry, body, (*steps, key))


def _asks(value: Any, idle: Any) -> bool:
    if isinstance(value, bool):
        return value is not (idle is True)
    if isinstance(value, int | float):
        return True  # 0 is a limit, and the strictest one.
    return bool(value) and value != idle
