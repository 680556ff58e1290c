"""`corsConfiguration`: preflights, and the CORS headers of every other answer (AWS §4.7).

Made by `build.py` for each API that has one; asked by `http/exchange.py` before routing
(`preflight`), after it for an OPTIONS that reached no route (`unrouted_options`), and before any
head is written (`decorate`), errors included. Promises: what a backend says about CORS never gets
through; an origin that is not allowed gets no CORS header at all; no credentials for everybody.
"""

from __future__ import annotations

from typing import Final

from portico_dataplane.core.messages import Headers, Response
from portico_ir.policies import Cors

_PREFIX: Final = b"access-control-"
_PREFIX_LENGTH: Final = len(_PREFIX)
_ANY: Final = "*"
_SCHEMES: Final = ("https://", "http://")
_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_VARY: Final = (b"Vary", b"Origin")


class CorsPolicy:
    """One API's configuration, ready."""

    __slots__ = (
        "_any_header",
        "_any_method",
        "_any_origin",
        "_credentials",
        "_headers",
        "_methods",
        "_of_answer",
        "_of_preflight",
        "_origins",
        "_schemes",
        "_vary",
    )

    def __init__(self, spec: Cors) -> None:
        self._any_origin = _ANY in spec.allow_origins
        # `*` with credentials is refused at configuration (AWS §4.7). Should one get here, it
        # allows everybody, but nobody's cookies.
        self._credentials = spec.allow_credentials and not self._any_origin
        wildcards = [f"{scheme}*" for scheme in _SCHEMES]
        self._schemes = tuple(
            scheme.encode("ascii")
            for scheme in _SCHEMES
            if f"{scheme}*" in (origin.lower() for origin in spec.allow_origins)
        )
        # Browsers write origins in lower case; a configuration need not.
        self._origins = frozenset(
            origin.lower().encode("utf-8")
            for origin in spec.allow_origins
            if origin != _ANY and origin.lower() not in wildcards
        )
        self._any_method = _ANY in spec.allow_methods
        self._methods = frozenset(method.upper() for method in spec.allow_methods)
        self._any_header = _ANY in spec.allow_headers
        self._headers = frozenset(name.lower().encode("utf-8") for name in spec.allow_headers)
        # An answer that is the same for every origin may be cached for every origin.
        self._vary: Headers = [] if self._any_origin else [_VARY]
        self._of_answer = self._answer_headers(spec)
        self._of_preflight = self._preflight_headers(spec)

    def _answer_headers(self, spec: Cors) -> Headers:
        headers: Headers = []
        if self._credentials:
            headers.append((b"Access-Control-Allow-Credentials", b"true"))
        if spec.expose_headers:
            headers.append((b"Access-Control-Expose-Headers", _listed(spec.expose_headers)))
        return headers

    def _preflight_headers(self, spec: Cors) -> Headers:
        headers: Headers = []
        if spec.allow_methods:
            # With credentials browsers take `*` for a method of that name.
            spelt_out = self._any_method and self._credentials
            methods = _METHODS if spelt_out else spec.allow_methods
            headers.append((b"Access-Control-Allow-Methods", _listed(methods)))
        if spec.allow_headers and not (self._any_header and self._credentials):
            headers.append((b"Access-Control-Allow-Headers", _listed(spec.allow_headers)))
        if spec.max_age is not None:
            headers.append((b"Access-Control-Max-Age", b"%d" % spec.max_age))
        if self._credentials:
            headers.append((b"Access-Control-Allow-Credentials", b"true"))
        return headers

    # --- preflight --------------------------------------------------------------------------

    def preflight(self, method: str, headers: Headers) -> Response | None:
        """The answer to a preflight; None for any other request, which goes on to its route.

        A preflight is an OPTIONS with Origin and Access-Control-Request-Method. One that the
        configuration allows only in part is answered without a CORS header, and so refused by
        the browser. The answer is whole: it is not given to `decorate`.
        """
        if method != "OPTIONS":
            return None
        origin = wanted_method = wanted_headers = None
        for name, value in headers:
            lower = name.lower()
            if lower == b"origin":
                origin = value
            elif lower == b"access-control-request-method":
                wanted_method = value
            elif lower == b"access-control-request-headers":
                # A list may come on several lines (RFC 9110 §5.3).
                wanted_headers = value if wanted_headers is None else wanted_headers + b"," + value
        if origin is None or wanted_method is None:
            return None
        if not (
            self._allows(origin)
            and self._allows_method(wanted_method)
            and self._allows_headers(wanted_headers)
        ):
            return Response(204, list(self._vary))
        answer = [self._allow_origin(origin), *self._of_preflight]
        if self._any_header and self._credentials and wanted_headers:
            # With credentials browsers take `*` for a header of that name.
            answer.append((b"Access-Control-Allow-Headers", wanted_headers))
        return Response(204, answer + self._vary)

    def unrouted_options(self) -> Response:
        """An OPTIONS without a route that is no preflight: 204 and no CORS header (AWS §4.7)."""
        return Response(204, list(self._vary))

    def _allows_method(self, wanted: bytes) -> bool:
        return self._any_method or wanted.decode("latin-1") in self._methods

    def _allows_headers(self, wanted: bytes | None) -> bool:
        if self._any_header or not wanted:
            return True
        names = (name.strip().lower() for name in wanted.split(b","))
        return all(name in self._headers for name in names if name)

    # --- every other answer -----------------------------------------------------------------

    def decorate(self, request_headers: Headers, response_headers: Headers) -> Headers:
        """The answer's headers with this API's CORS headers in place of the backend's.

        The list given is never changed; without an Origin and without anything to replace it is
        the answer when nothing has to be added.
        """
        origin = None
        for name, value in request_headers:
            if len(name) == 6 and name.lower() == b"origin":
                origin = value
                break
        kept = response_headers
        for name, _ in response_headers:
            if name[:_PREFIX_LENGTH].lower() == _PREFIX:
                kept = [line for line in kept if line[0][:_PREFIX_LENGTH].lower() != _PREFIX]
                break
        if origin is not None and self._allows(origin):
            kept = [*kept, self._allow_origin(origin), *self._of_answer]
        if self._vary and not _varies_by_origin(kept):
            # Also without an Origin: a cache must not give that answer to a page.
            kept = kept + self._vary
        return kept

    def _allows(self, origin: bytes) -> bool:
        if self._any_origin:
            return True
        lower = origin.lower()
        return lower in self._origins or any(
            lower.startswith(scheme) and len(lower) > len(scheme) for scheme in self._schemes
        )

    def _allow_origin(self, origin: bytes) -> tuple[bytes, bytes]:
        return (b"Access-Control-Allow-Origin", b"*" if self._any_origin else origin)


def _listed(values: tuple[str, ...]) -> bytes:
    return ",".join(values).encode("utf-8")


def _varies_by_origin(headers: Headers) -> bool:
    for name, value in headers:
        if len(name) == 4 and name.lower() == b"vary":
            names = {part.strip() for part in value.lower().split(b",")}
            if b"origin" in names or b"*" in names:
                return True
    return False
