"""Outside: issuers and authorizers, asked as a data plane asks them.

Used by `inquiry` where `portico explain --ask` was said. The gateway that the request is followed
through does it, with its own pools, limits and time-outs. Promises: one answer for each question,
a failure is an answer too; no backend of a route is called.
"""

from __future__ import annotations

import asyncio

from portico_dataplane.app import Gateway
from portico_dataplane.core.keyring import KeySet
from portico_dataplane.core.messages import Request
from portico_dataplane.core.templates import BadTemplate
from portico_dataplane.core.verdicts import CallFunction, FetchKeys, FunctionAnswer, Unavailable
from portico_dataplane.http.call import FunctionCall
from portico_ir.errors import ErrorKind


class Outside:
    """What one gateway can reach."""

    def __init__(self, gateway: Gateway) -> None:
        """It must have been started, and serve the configuration that asks."""
        self._gateway = gateway

    async def call(self, request: Request, effect: CallFunction) -> FunctionAnswer | Unavailable:
        """What a function or service answers."""
        try:
            target = self._gateway.targets.prepared(effect.target)
        except (BadTemplate, ValueError) as why:
            return Unavailable(ErrorKind.API_CONFIGURATION_ERROR, str(why))
        answer: asyncio.Future[FunctionAnswer | Unavailable] = asyncio.Future()
        FunctionCall(self._gateway, request, target, effect, answer.set_result).start()
        return await answer

    async def keys(self, effect: FetchKeys) -> KeySet | Unavailable:
        """Keys of an issuer."""
        answer: asyncio.Future[KeySet | Unavailable] = asyncio.Future()
        self._gateway.keysets.find(effect, answer.set_result)
        return await answer
