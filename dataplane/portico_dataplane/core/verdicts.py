"""What a policy or integration may answer: the vocabulary between decisions and the world.

A policy is a frozen object with plain synchronous methods. As long as none returns `Need`,
nothing awaits. That a dependency is down is an answer (`Unavailable`), so failing open or
closed is a branch one can read.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, NamedTuple, Protocol

from portico_dataplane.core.keyring import KeySet
from portico_dataplane.core.lease import Lease
from portico_dataplane.core.messages import Request, Response
from portico_ir.errors import ErrorKind
from portico_ir.model import Target


class Continue:
    """Nothing to object; go on."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Continue"


CONTINUE: Final = Continue()


class Respond(NamedTuple):
    """Answer with this and go no further."""

    response: Response


class Reject(NamedTuple):
    """Refuse; `core/errors.py` decides status and text."""

    kind: ErrorKind
    cause: str = ""
    """For the log; never sent to a client."""
    message: str | None = None
    """Replaces the text of the kind, where AWS names particulars (AWS §2.3)."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Besides those of the kind: `WWW-Authenticate`."""
    error_type: str = ""
    """Replaces `x-amzn-ErrorType` without its `Exception`, where a kind has several (REST)."""


class CallFunction(NamedTuple):
    """Effect: send `body` to a Lambda Invoke API, or to a service that takes it as it is."""

    target: Target
    path: str
    """Path of the Invoke call, after the target's own; empty: the target's own path and query."""
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    timeout_ms: int
    question: bool = False
    """Changes nothing, so it may be sent again when an idle connection turns out to be closed."""
    flight: Hashable | None = None
    """Calls of one flight that are under way at a time are one call; None: a call of its own."""
    method: bytes = b"POST"
    """What does not carry a body is sent without one."""
    wanted: tuple[bytes, ...] = ()
    """Lower case: headers of the answer that `FunctionAnswer.headers` has."""


class FunctionAnswer(NamedTuple):
    """What the Invoke API answered."""

    status: int
    function_error: str
    """`X-Amz-Function-Error`; empty when the function returned."""
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Those that were wanted, as they were sent, repeats kept."""


class Unavailable(NamedTuple):
    """The effect had no answer."""

    kind: ErrorKind
    """INTEGRATION_TIMEOUT, INTEGRATION_FAILURE or NO_ENDPOINT; of keys, AUTHORIZER_FAILURE."""
    cause: str
    """For the log."""


class Need(NamedTuple):
    """Ask the outside world, then go on with its answer."""

    effect: CallFunction
    then: Callable[[FunctionAnswer | Unavailable], Verdict]


class FetchKeys(NamedTuple):
    """Effect: the keys of a token issuer."""

    issuer: str
    """As in `iss`."""
    key_id: str
    """The key that is looked for; an issuer may have new ones."""


class NeedKeys(NamedTuple):
    """Ask an issuer for its keys, then go on; they may not hold the one that was looked for."""

    effect: FetchKeys
    then: Callable[[KeySet | Unavailable], Verdict]


class NeedBody(NamedTuple):
    """Wait for the whole body: what was signed includes it (AWS §6.3)."""

    then: Callable[[bytes], Verdict]


class NeedTokens(NamedTuple):
    """Wait a moment for a token, then go on: whether there was one (design §7)."""

    lease: Lease
    then: Callable[[bool], Verdict]


Verdict = Continue | Respond | Reject | Need | NeedKeys | NeedBody | NeedTokens


class RequestPolicy(Protocol):
    """One step of a route's chain (design §6.4); the steps stand in the order of phases.py."""

    def on_request(self, request: Request) -> Verdict:
        """CONTINUE, or what ends the request here, or what must be known first.

        What it learns of the caller it writes to `request.caller`.
        """
        ...


class BufferedIntegration(Protocol):
    """An integration that wants the whole body before it decides (function, mock)."""

    max_request_body: int

    def on_request(self, request: Request, body: bytes) -> Verdict:
        """The answer, a refusal, or what it needs first; nothing else."""
        ...
