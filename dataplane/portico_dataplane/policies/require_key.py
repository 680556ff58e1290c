"""`apiKeyRequired`: the request carries a key, and a plan of that key opens this stage.

Made by the registry for such routes. AWS §7.3: a key that is missing, unknown, disabled, or in no
plan for this stage answers 403 `Forbidden`, and these cases cannot be told apart from outside.
What the plan then allows is counted by the policy of the next phase.
"""

from __future__ import annotations

from typing import Final

from portico_dataplane.core.credentials import Directory
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CONTINUE, Continue, Reject
from portico_ir.errors import ErrorKind
from portico_ir.policies import RequireKey

_HEADER: Final = b"x-api-key"

_MISSING: Final = Reject(ErrorKind.INVALID_API_KEY, "no API key was sent")
_NOT_NAMED: Final = Reject(ErrorKind.INVALID_API_KEY, "the authorizer named no API key")
_UNKNOWN: Final = Reject(ErrorKind.INVALID_API_KEY, "the API key is unknown or disabled")
_NO_PLAN: Final = Reject(ErrorKind.INVALID_API_KEY, "no usage plan of the key opens this stage")


class RequireKeyPolicy:
    """One stage's demand for a key."""

    __slots__ = ("_directory", "_from_header", "_stage")

    def __init__(self, spec: RequireKey, api: str, stage: str, directory: Directory) -> None:
        self._from_header = spec.source == "HEADER"
        self._stage = (api, stage)
        self._directory = directory

    def on_request(self, request: Request) -> Continue | Reject:
        """Who calls, by key."""
        caller = request.caller
        if self._from_header:
            sent = request.header(_HEADER)
            if not sent:
                return _MISSING
        else:
            # AWS §6.5: the authorizer says it; the header then means nothing.
            sent = caller.usage_key.encode("utf-8", "surrogatepass")
            if not sent:
                return _NOT_NAMED
        credentials = self._directory.credentials
        key = credentials.key_of(sent)
        if key is None:
            return _UNKNOWN
        caller.api_key = sent.decode("utf-8", "replace")
        caller.api_key_id = key.id
        caller.customer = key.customer
        plan = credentials.plan(key, self._stage)
        if plan is None:
            return _NO_PLAN
        caller.plan = plan.id
        return CONTINUE
