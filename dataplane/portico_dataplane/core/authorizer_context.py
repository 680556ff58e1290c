"""`$context.authorizer.*`: what an authorizer said, or what a token claims (AWS §10.2, §10.4).

Called by `core/context.py`, which has all other variables. Promises: values are shown as texts,
the same ones in access logs and in mappings; a member that is not there is unset.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from portico_dataplane.core.messages import Outcome, Request
from portico_ir.errors import ErrorKind

Getter = Callable[[Request, Outcome], str | None]

_PREFIX: Final = "authorizer."
_BRACKET: Final = re.compile(r"\['([^']+)'\]\Z")
"""AWS §6.2: `authorizer.claims['custom:role']`."""
_REFUSALS: Final = frozenset(
    {
        ErrorKind.ACCESS_DENIED,
        ErrorKind.AUTHORIZER_CONFIGURATION_ERROR,
        ErrorKind.AUTHORIZER_FAILURE,
        ErrorKind.UNAUTHORIZED,
    }
)


def of_authorizer(name: str) -> Getter | None:
    """The variable of that name; None when it is no `authorizer.<name>`."""
    whole = name.removeprefix(_PREFIX)
    if whole == name:
        return None
    bracket = _BRACKET.search(whole)
    steps = (whole[: bracket.start()], bracket[1]) if bracket else whole.partition(".")[::2]
    first, rest = steps

    def member(request: Request, _: Outcome) -> str | None:
        found = request.caller.authorizer
        if found is None:
            return None
        if whole in found:
            return _text(found[whole])
        # Names of claims may hold dots themselves.
        below = found.get(first)
        return _text(below.get(rest)) if isinstance(below, Mapping) else None

    return member


def _text(found: Any) -> str | None:
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, Mapping):
        return None  # AWS §6.2: `authorizer.claims` itself is null.
    if isinstance(found, bool):
        return "true" if found else "false"
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def _status(request: Request, _: Outcome) -> str | None:
    status = request.caller.authorizer_status
    return str(status) if status else None


def _latency(request: Request, _: Outcome) -> str | None:
    latency = request.caller.authorizer_latency_ms
    return str(int(latency)) if latency >= 0 else None


def _error(_: Request, outcome: Outcome) -> str | None:
    return outcome.integration_error if outcome.error in _REFUSALS else None


LOGGED_OF_AUTHORIZER: Final[dict[str, Getter]] = {
    "authorizer.error": _error,
    "authorizer.integrationLatency": _latency,
    "authorizer.integrationStatus": _status,
    "authorizer.latency": _latency,
    "authorizer.status": _status,
}
"""What only access logs have; these go before members of the same names."""
