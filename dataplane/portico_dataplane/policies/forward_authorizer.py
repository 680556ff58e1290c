"""A service decides by the head of a request: `Authorize` of a ForwardAuthorizer (ours).

What nginx calls auth_request, Traefik forward auth and Envoy an HTTP ext-authz service: login
proxies speak it. Made by the registry for each route. Promises: a 2xx lets the request through and
nothing else does; redirects and refusals are the service's own words to the client, because a
login is made of them; whatever goes wrong is a 500, with its cause in the log and nowhere else.
"""

from __future__ import annotations

from typing import Final

from portico_dataplane.core.context import header_text
from portico_dataplane.core.messages import Request, Response
from portico_dataplane.core.verdicts import (
    CONTINUE,
    CallFunction,
    FunctionAnswer,
    Need,
    Reject,
    Respond,
    Unavailable,
    Verdict,
)
from portico_ir.access import ForwardAuthorizer
from portico_ir.errors import ErrorKind

TO_CLIENT: Final = (
    b"cache-control",
    b"content-type",
    b"location",
    b"set-cookie",
    b"www-authenticate",
)
"""Headers of a refusal that the client gets."""
MOST_BODY: Final = 65_536
"""Bytes of a refusal."""


class ForwardAuthorizerPolicy:
    """One route's demand for a service's consent."""

    __slots__ = ("_context", "_seen", "_spec", "_wanted")

    def __init__(self, spec: ForwardAuthorizer) -> None:
        self._spec = spec
        self._seen = frozenset(name.encode() for name in spec.request_headers)
        self._context = {name.encode(): name for name in spec.response_headers}
        self._wanted = tuple({*self._context, *TO_CLIENT})

    def on_request(self, request: Request) -> Verdict:
        """Ask; nothing is kept, because the answer is about this one request."""
        spec = self._spec
        target = request.raw_path + (f"?{request.query}" if request.query else "")
        headers = [(name, value) for name, value in request.headers if name.lower() in self._seen]
        headers += [
            (b"X-Forwarded-Method", request.method.encode("latin-1")),
            (b"X-Forwarded-Proto", request.scheme.encode("latin-1")),
            (b"X-Forwarded-Host", request.domain_name.encode("latin-1")),
            (b"X-Forwarded-Uri", target.encode("latin-1")),
            (b"X-Forwarded-For", request.source_ip.encode("latin-1")),
        ]
        call = CallFunction(
            spec.target,
            "",
            tuple(headers),
            b"",
            spec.timeout_ms,
            question=True,
            method=b"GET",
            wanted=self._wanted,
        )

        def then(answer: FunctionAnswer | Unavailable) -> Verdict:
            return self._answered(request, answer)

        return Need(call, then)

    def _answered(self, request: Request, answer: FunctionAnswer | Unavailable) -> Verdict:
        name = self._spec.name
        if isinstance(answer, Unavailable):
            misconfigured = answer.kind is ErrorKind.API_CONFIGURATION_ERROR
            return self._failed(answer.cause, configuration=misconfigured)
        if 200 <= answer.status <= 299:
            # All of them, always: what a mapping sets, a client cannot have sent.
            members = dict.fromkeys(self._spec.response_headers, "")
            for line, value in answer.headers:
                member = self._context.get(line.lower())
                if member is not None:
                    members[member] = ",".join(filter(None, (members[member], header_text(value))))
            request.caller.authorizer = members
            request.caller.event = members
            return CONTINUE
        if answer.status >= 500 or answer.status in (404, 429) or answer.status < 300:
            # A path that is none must not look like a refusal of this client.
            temporary = answer.status != 404
            return self._failed(f"it answered {answer.status}", configuration=not temporary)
        if len(answer.body) > MOST_BODY:
            said = f"{name}: refused with {answer.status} and {len(answer.body)} bytes"
            return Reject(ErrorKind.ACCESS_DENIED, said)
        headers = [line for line in answer.headers if line[0].lower() in TO_CLIENT]
        return Respond(Response(answer.status, headers, answer.body))

    def _failed(self, cause: str, *, configuration: bool = False) -> Reject:
        kind = ErrorKind.AUTHORIZER_FAILURE
        if configuration:
            kind = ErrorKind.AUTHORIZER_CONFIGURATION_ERROR
        return Reject(kind, f"{self._spec.name}: {cause}")
