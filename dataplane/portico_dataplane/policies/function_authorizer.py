"""A function or service decides who calls: `Authorize` of a FunctionAuthorizer (AWS §4.10, §6.1).

Made by the registry for each route; routes of one stage share what was answered. Promises: a
missing credential costs no call; whatever goes wrong lets nobody through; what went wrong is in
the log, under the request's id, and never in an answer.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import msgspec

from portico_dataplane.core.arns import LONGEST, method_arn
from portico_dataplane.core.authorizer_cache import AnswerCache
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.credential_sources import Key, Sources
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import (
    CONTINUE,
    CallFunction,
    Continue,
    FunctionAnswer,
    Need,
    Reject,
    Unavailable,
    Verdict,
)
from portico_dataplane.integrations.authorizer_event import build
from portico_dataplane.policies.authorizer_answer import Answer, EventForm, Fault, read
from portico_ir.access import FunctionAuthorizer
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, LambdaProxy, Route
from portico_ir.textpattern import prepared

_INVOKE: Final = "/2015-03-31/functions/{}/invocations"
_INVOCATION: Final = (
    (b"Content-Type", b"application/json"),
    (b"X-Amz-Invocation-Type", b"RequestResponse"),
)
_POST: Final = ((b"Content-Type", b"application/json"), (b"Accept", b"application/json"))
_UNAUTHORIZED: Final = "Unauthorized"
"""AWS §6.1: the one error that is an answer."""
_EXPLICIT: Final = "User is not authorized to access this resource with an explicit deny"
_TOO_LONG: Final = Reject(
    ErrorKind.URI_TOO_LONG, f"the ARN of the method has more than {LONGEST} bytes"
)
_encode: Final = msgspec.json.Encoder().encode


class FunctionAuthorizerPolicy:
    """One route's demand for an authorizer's consent."""

    __slots__ = (
        "_cache",
        "_form",
        "_headers",
        "_path",
        "_pattern",
        "_rest",
        "_sources",
        "_spec",
        "_ttl_s",
    )

    def __init__(
        self, spec: FunctionAuthorizer, kind: ApiKind, route: Route, cache: AnswerCache[Answer]
    ) -> None:
        """Raises BadPattern where `validation` is none."""
        self._spec = spec
        self._ttl_s = spec.ttl_s
        self._rest = kind is not ApiKind.HTTP
        self._sources = Sources(spec.sources, kind) if spec.sources else None
        self._pattern = prepared(spec.validation) if spec.validation else None
        self._form = _form_of_event(kind, route)
        self._cache = cache
        # A qualifier (`name:alias`) may stay as it is; anything else is one path segment.
        function = spec.function
        self._path = _INVOKE.format(quote(function, safe=":")) if function else ""
        self._headers = _INVOCATION if function else _POST

    def on_request(self, request: Request) -> Verdict:
        """Whether the caller may; who has been asked about before is not asked about again."""
        key: Key | None = None
        known: Answer | None = None
        if self._sources is not None:
            key = self._sources.key(request)
            if key is not None and self._ttl_s:
                known = self._cache.get(key, request.received_ms)
                if known is not None and known.knows(request) == "allow":
                    return self._admitted(request.caller, known, 0)
        arn = method_arn(request)
        if self._rest and len(arn) > LONGEST:
            return _TOO_LONG
        if key is None and self._sources is not None:
            return Reject(
                ErrorKind.UNAUTHORIZED, f"{self._spec.name}: an identity source is missing"
            )
        if known is not None:
            return self._decided(request, arn, known, 0)
        return self._asked(request, arn, key)

    # --- asking -------------------------------------------------------------------------------

    def _asked(self, request: Request, arn: str, key: Key | None) -> Verdict:
        spec = self._spec
        texts: tuple[str, ...] | None = None
        if key is not None and self._sources is not None:
            texts = self._sources.texts(key)
            if self._pattern is not None and not self._pattern.matches(texts[0]):
                return Reject(ErrorKind.UNAUTHORIZED, f"{spec.name}: the token has another form")
        kept = key if spec.ttl_s else None
        call = CallFunction(
            spec.target,
            self._path,
            self._headers,
            _encode(build(spec, request, arn, texts)),
            spec.timeout_ms,
            question=True,
            # Whoever asks the same meanwhile waits for the same answer.
            flight=None if kept is None else (self._cache, kept),
        )

        def then(answer: FunctionAnswer | Unavailable) -> Verdict:
            return self._answered(request, arn, kept, answer)

        return Need(call, then)

    def _answered(
        self, request: Request, arn: str, kept: Key | None, answer: FunctionAnswer | Unavailable
    ) -> Verdict:
        latency = max(0, round(request.caller.authorizer_latency_ms))
        now = request.received_ms
        if kept is not None:
            # Of those who waited together the first one has read it.
            known = self._cache.get(kept, now)
            if known is not None:
                return self._decided(request, arn, known, latency)
        outcome = self._outcome(answer)
        if isinstance(outcome, Answer):
            if kept is not None and isinstance(answer, FunctionAnswer):
                self._cache.put(kept, outcome, len(answer.body) + _size(kept), now)
            return self._decided(request, arn, outcome, latency)
        if kept is not None and outcome.kind is ErrorKind.AUTHORIZER_FAILURE:
            stale = self._cache.after_failure(kept, now)
            if stale is not None:
                return self._decided(request, arn, stale, latency)
        return outcome

    def _outcome(self, answer: FunctionAnswer | Unavailable) -> Answer | Reject:
        """What was said, or how it failed (AWS §6.1, status rules)."""
        if isinstance(answer, Unavailable):
            configured = answer.kind in (
                ErrorKind.API_CONFIGURATION_ERROR,
                ErrorKind.MALFORMED_FUNCTION_ANSWER,
            )
            return self._failed(answer.cause, configuration=configured)
        if self._spec.function and answer.function_error:
            return self._raised(answer)
        if not 200 <= answer.status <= 299:
            return self._refused(answer.status)
        kind = ApiKind.REST if self._rest else ApiKind.HTTP
        found = read(answer.body, kind, simple=self._spec.simple)
        if isinstance(found, Fault):
            return self._failed(found.cause, configuration=True)
        return found

    def _raised(self, answer: FunctionAnswer) -> Reject:
        try:
            error = msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            error = None
        message = error.get("errorMessage") if isinstance(error, dict) else None
        if message == _UNAUTHORIZED:
            return Reject(ErrorKind.UNAUTHORIZED, f"{self._spec.name}: {_UNAUTHORIZED}")
        return self._failed(f"function error: {answer.function_error}: {str(message)[:200]!r}")

    def _refused(self, status: int) -> Reject:
        """No answer, but a status: what a service says by it counts (ours); an Invoke API says
        that there is no such function, or that it is throttled."""
        name = self._spec.name
        if not self._spec.function and status in (401, 403):
            kind = ErrorKind.UNAUTHORIZED if status == 401 else ErrorKind.ACCESS_DENIED
            return Reject(kind, f"{name}: the service answered {status}")
        what = "the Invoke API" if self._spec.function else "the service"
        temporary = status >= 500 or status == 429
        return self._failed(f"{what} answered {status}", configuration=not temporary)

    def _failed(self, cause: str, *, configuration: bool = False) -> Reject:
        kind = ErrorKind.AUTHORIZER_FAILURE
        if configuration:
            kind = ErrorKind.AUTHORIZER_CONFIGURATION_ERROR
        return Reject(kind, f"{self._spec.name}: {cause}")

    # --- deciding -----------------------------------------------------------------------------

    def _decided(self, request: Request, arn: str, answer: Answer, latency_ms: int) -> Verdict:
        """AWS §3.21, table A: the authorizer's word and the API's policy."""
        caller = request.caller
        judgement = answer.judge(arn, request)
        if judgement == "allow" or (judgement != "deny" and caller.resource_policy == "allow"):
            return self._admitted(caller, answer, latency_ms)
        caller.principal = answer.principal
        caller.authorizer = answer.members
        if judgement == "deny":
            message = _EXPLICIT if self._rest else None
            return Reject(ErrorKind.ACCESS_DENIED, f"{self._spec.name}: explicit deny", message)
        return Reject(ErrorKind.ACCESS_DENIED, f"{self._spec.name}: nothing allows {arn}")

    def _admitted(self, caller: Caller, answer: Answer, latency_ms: int) -> Continue:
        caller.principal = answer.principal
        caller.authorizer = answer.members
        caller.usage_key = answer.usage_key
        event = None if latency_ms else answer.events.get(self._form)
        caller.event = answer.event(self._form, latency_ms) if event is None else event
        return CONTINUE


def _form_of_event(kind: ApiKind, route: Route) -> EventForm:
    if kind is not ApiKind.HTTP:
        return "rest"
    integration = route.integration
    if isinstance(integration, LambdaProxy) and integration.payload_format == "2.0":
        return "2.0"
    return "1.0"


def _size(key: Key) -> int:
    return len(key) if isinstance(key, str) else sum(_size(part) for part in key)
