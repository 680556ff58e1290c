"""The order in which a request is processed, as data: AWS §2.1 (REST) and §2.2 (HTTP).

Read by the policy registry, which puts a route's policies in this order whatever their order
in a file, and by explain, which prints it. What is not built yet stands here too, at its
place: a policy that comes later finds where it belongs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from portico_ir.model import ApiKind
from portico_ir.policies import PolicySpec


class Phase(NamedTuple):
    """One step on a request's way."""

    name: str
    says: str
    """One sentence for people."""
    policies: tuple[str, ...] = ()
    """Tags of the policies of the contract that act here."""
    built: bool = True
    """Whether this version does it. What restricts and is not built fails closed."""


_TLS: Final = Phase("tls", "The connection is secured and its certificate chosen.", built=False)
_HOST: Final = Phase("host", "The host names the API, and the path's first segment the stage.")
_CORS: Final = Phase(
    "cors", "A preflight is answered before anything else looks at it.", policies=("cors",)
)
_ROUTE: Final = Phase("route", "The most specific route with the method takes the request.")
_FAIL_CLOSED: Final = Phase(
    "fail-closed",
    "A route that is broken, or restricted by something not built, answers 500.",
    policies=("fail_closed",),
)
_PARAMETERS: Final = Phase(
    "parameter-mapping", "Parts of the request are set on the request to the backend."
)
_CALL: Final = Phase("integration", "The backend or function is called, or the mock answers.")
_ANSWER_HEADERS: Final = Phase(
    "response-headers", "Headers are renamed, dropped and added, those of CORS among them."
)
_OBSERVED: Final = Phase("observed", "Access log line and metrics.")

_REST: Final = (
    _TLS,
    _HOST,
    _CORS,
    Phase("waf", "A web application firewall inspects the request.", built=False),
    Phase(
        "resource-policy",
        "The API's policy denies before anybody is asked; a token is looked at before it.",
    ),
    _ROUTE,
    _FAIL_CLOSED,
    Phase(
        "authorization",
        "Signature, token or authorizer say who calls.",
        ("authorize", "signature"),
    ),
    Phase("api-key", "The key is known, and its plan has quota left.", ("require_key",)),
    Phase("throttle", "Plan, route, stage and account have a token left.", ("throttle",)),
    Phase("validation", "Required parameters are there, the body fits its model.", built=False),
    Phase("cache", "An answer that was kept is given again.", built=False),
    _PARAMETERS,
    Phase("request-template", "A template makes the body for the backend.", built=False),
    _CALL,
    Phase("integration-response", "The backend's status selects the response to give."),
    Phase("response-template", "A template makes the body for the client.", built=False),
    Phase("compression", "The body is compressed when the client takes it.", built=False),
    _ANSWER_HEADERS,
    _OBSERVED,
)

_HTTP: Final = (
    _TLS,
    _HOST,
    _CORS,
    _ROUTE,
    _FAIL_CLOSED,
    Phase(
        "authorization",
        "A token, a function or a signature says who calls.",
        ("authorize", "signature"),
    ),
    Phase("throttle", "Route, stage and account have a token left.", ("throttle",)),
    _PARAMETERS,
    _CALL,
    Phase("response-mapping", "Status and headers are set by the backend's status.", built=False),
    _ANSWER_HEADERS,
    _OBSERVED,
)

_WEBSOCKET: Final = (
    _TLS,
    _HOST,
    Phase("connect", "$connect decides whether the connection opens.", built=False),
    Phase("message", "The selection expression picks the route of each message.", built=False),
    Phase("disconnect", "$disconnect is told when the connection is gone.", built=False),
    _OBSERVED,
)

PHASES: Final[dict[ApiKind, tuple[Phase, ...]]] = {
    ApiKind.REST: _REST,
    ApiKind.HTTP: _HTTP,
    ApiKind.WEBSOCKET: _WEBSOCKET,
}
"""Every phase of each kind of API, in the order in which they run."""


def of(kind: ApiKind) -> tuple[Phase, ...]:
    """The phases of a kind of API, in order."""
    return PHASES[kind]


def position(kind: ApiKind, policy: PolicySpec) -> int:
    """Where in that order a policy acts; beyond the end for one that no phase names."""
    tag = policy.__struct_config__.tag
    phases = PHASES[kind]
    for index, phase in enumerate(phases):
        if tag in phase.policies:
            return index
    return len(phases)
