"""Tokens of OpenID providers on HTTP APIs, and of Cognito user pools on REST APIs.

Made by the registry for `Authorize` of a JwtAuthorizer; AWS §4.9, §6.2. The first request with a
token reads it, checks what it claims and its signature; the next ones find it by its digest.
Promises: what is wrong with a token answers 401 (a missing scope on HTTP APIs 403) and calls
nothing; keys that cannot be had answer 500, because nothing is wrong with the caller; a client
reads AWS's texts and no more, the log has the cause.
"""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import Any, Final, NamedTuple

from portico_dataplane.core import claims as judged
from portico_dataplane.core import jose
from portico_dataplane.core.credential_sources import Sources
from portico_dataplane.core.keyring import Keyring, KeySet
from portico_dataplane.core.messages import Request
from portico_dataplane.core.tokens import TokenCache, VerifiedToken
from portico_dataplane.core.verdicts import (
    CONTINUE,
    Continue,
    FetchKeys,
    NeedKeys,
    Reject,
    Unavailable,
    Verdict,
)
from portico_ir.access import JwtAuthorizer
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, LambdaProxy, Route
from portico_ir.policies import Authorize
from portico_ir.textpattern import TextPattern

_CHALLENGE: Final = b"www-authenticate"
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+\Z")
"""RFC 6749 §3.3: nothing that could end the quotes it stands in."""
_EXPIRED: Final = "The incoming token has expired"
_NO_AUDIENCE: Final = "the token does not have a valid audience"


class _Seen(NamedTuple):
    """A token that is being judged, and which request brought it."""

    request: Request
    digest: bytes
    token: jose.Token
    issuer: str


class JwtPolicy:
    """One route's demand for a token."""

    __slots__ = (
        "_algorithms",
        "_audience",
        "_cache",
        "_cognito",
        "_form",
        "_header",
        "_insufficient",
        "_issuers",
        "_keyring",
        "_name",
        "_number",
        "_rest",
        "_scopes",
        "_sources",
        "_validation",
    )

    def __init__(
        self,
        spec: Authorize,
        authorizer: JwtAuthorizer,
        kind: ApiKind,
        route: Route,
        keyring: Keyring,
        cache: TokenCache,
    ) -> None:
        """Raises BadPattern where `validation` is none."""
        self._name = authorizer.name
        self._issuers = frozenset(authorizer.issuers)
        self._audience = frozenset(authorizer.audience)
        self._algorithms = frozenset(authorizer.algorithms or jose.ALGORITHMS)
        self._cognito = authorizer.profile == "cognito"
        self._validation = TextPattern(authorizer.validation) if authorizer.validation else None
        source = authorizer.source
        name = source.name.lower().encode("latin-1", "replace")
        self._header = name if source.place == "header" else b""
        self._sources = Sources((source,), kind)
        self._scopes = frozenset(spec.scopes)
        self._rest = kind is ApiKind.REST
        self._form = _form_of_event(kind, route, bool(spec.scopes))
        self._insufficient = self._refusal_of_scope(spec.scopes)
        self._keyring = keyring
        self._cache = cache
        self._number = cache.number(authorizer)

    def on_request(self, request: Request) -> Verdict:
        """Who calls, by token."""
        raw = self._sent(request)
        if raw is None:
            return self._missing()
        digest = hashlib.sha256(raw).digest()
        known = self._cache.get(self._number, digest, request.received_ms)
        if known is not None:
            return self._admitted(request, known)
        return self._unknown(request, raw, digest)

    def _sent(self, request: Request) -> bytes | None:
        """The token as sent, without `Bearer`; None: there is none.

        Several are joined, as AWS joins headers (AWS §4.4): that is no token, so a backend never
        reads another one than was judged here.
        """
        wanted = self._header
        found: bytes | None = None
        if wanted:
            length = len(wanted)
            for name, value in request.headers:
                if len(name) == length and name.lower() == wanted:
                    found = value if found is None else found + b"," + value
        else:
            key = self._sources.key(request)
            if key is not None:
                text = key if isinstance(key, str) else ",".join(map(str, key))
                found = text.strip(" ").encode("utf-8", "replace")
        if not found or found.isspace():
            return None
        return found[7:].lstrip(b" ") if found[:7].lower() == b"bearer " else found

    # --- judging ------------------------------------------------------------------------------

    def _unknown(self, request: Request, raw: bytes, digest: bytes) -> Verdict:
        """A token that nobody has seen, as far as it can be judged without keys."""
        token = jose.read(raw)
        if isinstance(token, str):
            return self._invalid(token)
        if token.algorithm not in self._algorithms:
            return self._invalid("signing method is invalid")
        issuer = token.claims.get("iss")
        if not isinstance(issuer, str) or issuer not in self._issuers:
            return self._invalid("the token does not have a valid issuer")
        if not token.key_id:
            return self._invalid("the token names no key")
        # Before the signature: most bad tokens are old ones, and these cost no arithmetic.
        fault = judged.fault_of_expiry(token.claims, request.received_ms)
        if fault:
            return self._invalid(fault, _EXPIRED)
        seen = _Seen(request, digest, token, issuer)
        keys = self._keyring.keys(issuer, request.received_ms)
        if keys is None or token.key_id not in keys:
            return NeedKeys(FetchKeys(issuer, token.key_id), partial(self._with_keys, seen))
        return self._verified(seen, keys)

    def _with_keys(self, seen: _Seen, found: KeySet | Unavailable) -> Verdict:
        if isinstance(found, Unavailable):
            return Reject(ErrorKind.AUTHORIZER_FAILURE, f"{self._name}: {found.cause}")
        return self._verified(seen, found)

    def _verified(self, seen: _Seen, keys: KeySet) -> Verdict:
        token, now = seen.token, seen.request.received_ms
        if token.key_id not in keys:
            return self._invalid("the token was signed with an unknown key")
        if not jose.verifies(token, keys):
            return self._invalid("the token's signature is not valid")
        fault = judged.fault_of_times(token.claims, now) or self._fault_of_audience(token.claims)
        if fault:
            return self._invalid(fault)
        try:
            texts = judged.rest_texts if self._rest else judged.http_texts
            said = texts(token.claims)
        except (ValueError, RecursionError):
            return self._invalid("token is malformed")
        expires = judged.milliseconds(token.claims, "exp")
        known = VerifiedToken(
            claims=said,
            scopes=judged.scopes(token.claims),
            principal=said.get("sub", ""),
            expires_ms=int(min(expires or 0.0, 1e18)),
            keys=keys,
        )
        self._cache.put(self._number, seen.digest, known)
        return self._admitted(seen.request, known)

    def _fault_of_audience(self, claims: judged.Claims) -> str:
        offered = judged.audiences(claims)
        if self._audience and not judged.has_one_of(offered, self._audience):
            return _NO_AUDIENCE
        pattern = self._validation
        if pattern is not None and not any(map(pattern.matches, offered)):
            return _NO_AUDIENCE
        return ""

    def _admitted(self, request: Request, known: VerifiedToken) -> Continue | Reject:
        """A good token: does it do for this route?"""
        if self._cognito:
            use = known.claims.get("token_use")
            wanted = "access" if self._scopes else "id"
            if use is not None and use != wanted:
                return self._invalid(f"the route takes {wanted} tokens, not {use}")
        if self._scopes and self._scopes.isdisjoint(known.scopes):
            return self._insufficient
        caller = request.caller
        caller.principal = known.principal
        caller.authorizer = known.context
        event = known.events.get(self._form)
        if event is None:
            event = known.events[self._form] = _event(self._form, known)
        caller.event = event
        return CONTINUE

    # --- refusals -----------------------------------------------------------------------------

    def _missing(self) -> Reject:
        headers = () if self._rest else ((_CHALLENGE, b"Bearer"),)
        return Reject(ErrorKind.UNAUTHORIZED, f"{self._name}: no token was sent", headers=headers)

    def _invalid(self, fault: str, message: str | None = None) -> Reject:
        """AWS §4.9: 401, and on HTTP APIs why; `message` is what REST APIs say."""
        cause = f"{self._name}: {fault}"
        if self._rest:
            return Reject(ErrorKind.UNAUTHORIZED, cause, message=message)
        challenge = f'Bearer scope="" error="invalid_token" error_description="{fault}"'
        headers = ((_CHALLENGE, challenge.encode("ascii", "replace")),)
        return Reject(ErrorKind.UNAUTHORIZED, cause, headers=headers)

    def _refusal_of_scope(self, scopes: tuple[str, ...]) -> Reject:
        """AWS §6.6: 403 on HTTP APIs, 401 with Cognito."""
        cause = f"{self._name}: the token has none of the scopes {', '.join(scopes)}"
        if self._rest:
            return Reject(ErrorKind.UNAUTHORIZED, cause)
        shown = " ".join(scope for scope in scopes if _SCOPE.match(scope))
        challenge = (
            f'Bearer scope="{shown}" error="insufficient_scope" '
            'error_description="the token does not have a sufficient scope"'
        )
        headers = ((_CHALLENGE, challenge.encode("ascii")),)
        return Reject(ErrorKind.ACCESS_DENIED, cause, headers=headers)


def _form_of_event(kind: ApiKind, route: Route, scoped: bool) -> str:
    """Which form `requestContext.authorizer` has for this route's function."""
    if kind is ApiKind.REST:
        return "rest"
    integration = route.integration
    version = integration.payload_format if isinstance(integration, LambdaProxy) else "1.0"
    return f"{version} with scopes" if scoped else version


def _event(form: str, known: VerifiedToken) -> dict[str, Any]:
    """AWS §3.27, §4.4, §4.5; `scopes` is null on a route without scopes (AWS §18)."""
    if form == "rest":
        return {"claims": known.claims}
    scopes = list(known.scopes) if form.endswith("scopes") else None
    said = {"claims": known.claims, "scopes": scopes}
    return {"jwt": said} if form.startswith("2.0") else said
