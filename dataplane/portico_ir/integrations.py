"""Integrations: what a route calls, and what is set on the call.

Called like `model.py`, whose routes hold these.
"""

from __future__ import annotations

from typing import Literal, assert_never

from portico_ir.policies import Struct
from portico_ir.targets import Target

# --- parameter mapping (REST, AWS §3.7) -----------------------------------------------------


class FromRequest(Struct, frozen=True, kw_only=True, tag_field="from", tag="request"):
    """A value of the client's request."""

    place: Literal["path", "querystring", "header"]
    """Where it stands."""
    name: str
    """Its name, case-sensitive as AWS has it (AWS §3.2)."""
    multi: bool = False
    """All values instead of the last one."""


class FromContext(Struct, frozen=True, kw_only=True, tag_field="from", tag="context"):
    """A `$context` member."""

    name: str
    """Dotted, without `context.`."""


class FromLiteral(Struct, frozen=True, kw_only=True, tag_field="from", tag="literal"):
    """A constant; stage variables arrive as constants."""

    value: str
    """The text itself, without quotes."""


Source = FromRequest | FromContext | FromLiteral


class ParameterMapping(Struct, frozen=True, kw_only=True):
    """`integration.request.<place>.<name>` ← source. A missing source sets nothing."""

    place: Literal["path", "querystring", "header"]
    """What is set on the request to the backend."""
    name: str
    """Its name."""
    source: Source
    """Where the value comes from."""


# --- integrations -------------------------------------------------------------------------


class HttpProxy(Struct, frozen=True, kw_only=True, tag_field="type", tag="http_proxy"):
    """Pass the request on and stream the answer back (AWS §3.4, §4.3)."""

    targets: tuple[Target, ...]
    """At least one; several are weighted."""
    method: str = ""
    """Method towards the backend; empty: the client's."""
    timeout_ms: int = 29_000
    """From the request sent to the response head."""
    max_request_body: int = 10 * 1024 * 1024
    """Larger bodies answer 413."""
    preserve_host: bool = False
    """Send the client's Host instead of the target's."""
    mappings: tuple[ParameterMapping, ...] = ()
    """REST requestParameters."""


class LambdaProxy(Struct, frozen=True, kw_only=True, tag_field="type", tag="lambda_proxy"):
    """Invoke a function with an event and convert what it returns (AWS §3.27, §4.4, §4.5)."""

    target: Target
    """Where the Invoke API answers; its path is a prefix of the Invoke path."""
    function: str
    """Function name in `/2015-03-31/functions/<name>/invocations`."""
    payload_format: Literal["1.0", "2.0"] = "1.0"
    """Event format; REST always 1.0 (without `version`)."""
    timeout_ms: int = 29_000
    """From the invocation sent to its answer complete."""
    max_request_body: int = 10 * 1024 * 1024
    """Larger bodies answer 413; the body is buffered."""


class MockTemplate(Struct, frozen=True, kw_only=True):
    """A request template of a mock: all it may decide is a status (AWS §3.4 MOCK)."""

    content_type: str
    """Media type it answers to."""
    status: int | None = None
    """Constant `statusCode`; None when the template yields none, which answers 500."""
    status_param: str = ""
    """`$input.params('x')`: the status is the value of parameter x."""


class MockResponse(Struct, frozen=True, kw_only=True):
    """An integration response of a mock (AWS §3.10)."""

    pattern: str
    """Regular expression over the whole status; empty: the default response."""
    status: int
    """Status of the answer."""
    headers: tuple[tuple[str, str], ...] = ()
    """Literal response headers."""
    templates: tuple[tuple[str, str], ...] = ()
    """Media type to constant body, in the order of definition."""


class Mock(Struct, frozen=True, kw_only=True, tag_field="type", tag="mock"):
    """Answer without a backend."""

    templates: tuple[MockTemplate, ...] = ()
    """Request templates in the order of definition."""
    passthrough: Literal["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"] = "WHEN_NO_MATCH"
    """What a content type without template means (AWS §3.5)."""
    responses: tuple[MockResponse, ...] = ()
    """Candidates; none matching answers 500."""
    max_request_body: int = 10 * 1024 * 1024
    """Larger bodies answer 413."""


class Broken(Struct, frozen=True, kw_only=True, tag_field="type", tag="broken"):
    """The route exists and answers 500: its description could not be honoured."""

    reason: str
    """For logs and explain; never sent to a client."""


Integration = HttpProxy | LambdaProxy | Mock | Broken


def targets_of(integration: Integration) -> tuple[Target, ...]:
    """Whom it may call."""
    match integration:
        case HttpProxy(targets=targets):
            return targets
        case LambdaProxy(target=target):
            return (target,)
        case Mock() | Broken():
            return ()
        case _:
            assert_never(integration)
