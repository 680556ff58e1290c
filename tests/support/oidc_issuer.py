"""A real OpenID issuer on loopback: discovery, keys, and the tokens that it signs with joserfc.

Used by tests of everything that has to do with tokens. It can rotate its keys, and be as slow,
broken or hostile as a test wants. Keys are made once per process: an RSA key takes a while.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import time
import warnings
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, NamedTuple, Self

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

DISCOVERY: Final = "/.well-known/openid-configuration"
JWKS: Final = "/keys"

Key = RSAKey | ECKey | OKPKey
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


class Published(NamedTuple):
    """A key and how the issuer shows it."""

    key: Key
    jwk: dict[str, Any]


class Answer(NamedTuple):
    """What is sent instead of the real document."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}


def signing_key(name: str, algorithm: str = "RS256") -> Key:
    """A private key; the same for the same name and algorithm."""
    return _signing_key(name, algorithm)


@functools.cache
def _signing_key(name: str, algorithm: str) -> Key:
    if algorithm in _CURVES:
        return ECKey.generate_key(_CURVES[algorithm])
    if algorithm in ("EdDSA", "Ed25519"):
        return OKPKey.generate_key("Ed25519")
    return RSAKey.generate_key(2048)


def public_jwk(name: str, algorithm: str = "RS256", **members: Any) -> dict[str, Any]:
    """The public half as a JWKS has it; None leaves a member out."""
    shown: dict[str, Any] = dict(signing_key(name, algorithm).as_dict(private=False))
    shown |= {"kid": name, "use": "sig", "alg": algorithm, **members}
    return {key: value for key, value in shown.items() if value is not None}


def signed(
    claims: Mapping[str, Any] | bytes,
    key: str = "k1",
    algorithm: str = "RS256",
    header: Mapping[str, Any] | None = None,
) -> str:
    """A token in compact form; `header` adds to `alg` and `kid`, None takes one out."""
    head = {"alg": algorithm, "kid": key, "typ": "JWT", **(header or {})}
    head = {name: value for name, value in head.items() if value is not None}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of EdDSA, which RFC 9864 renames
        private = signing_key(key, algorithm)
        return jws.serialize_compact(head, payload, private, registry=registry)


class OidcIssuer:
    """Serves until its `with` block ends."""

    def __init__(self, path: str = "", algorithm: str = "RS256") -> None:
        self._path = path
        self._prefix = path.removesuffix("/")
        self.algorithm = algorithm
        self.keys: list[dict[str, Any]] = []
        """What the JWKS holds; a test may put anything here."""
        self.asked: list[str] = []
        """Paths in the order in which they were asked for."""
        self.discovery: dict[str, Any] = {}
        """Members of the discovery document besides or instead of the right ones."""
        self.answers: dict[str, Answer] = {}
        """Path to what is sent instead of the document."""
        self._gates: dict[str, threading.Event] = {}
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                issuer._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self.publish("k1")

    @property
    def url(self) -> str:
        """`iss` of its tokens."""
        return f"http://127.0.0.1:{self._server.server_port}{self._path}"

    @property
    def fetches(self) -> int:
        """How often the keys were fetched."""
        return self.asked.count(self._prefix + JWKS)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for gate in self._gates.values():
            gate.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def publish(self, *names: str) -> None:
        """Rotate: from now on these keys, and no others."""
        self.keys = [public_jwk(name, self.algorithm) for name in names]

    def token(
        self,
        key: str = "k1",
        header: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token that is good for an hour, unless the claims say otherwise; None removes one."""
        now = int(time.time())
        said = {"iss": self.url, "sub": "u1", "aud": "app", "iat": now - 5, "exp": now + 3600}
        said |= {**claims, **(more or {})}
        said = {name: value for name, value in said.items() if value is not None}
        return signed(said, key, self.algorithm, header)

    def fail(self, path: str = JWKS, *, status: int = 500, body: bytes = b"no") -> None:
        """Answer so from now on."""
        self.answers[path] = Answer(status, body)

    def hang(self, path: str = JWKS) -> threading.Event:
        """Answer nothing until the event is set; then as ever."""
        gate = self._gates[path] = threading.Event()
        return gate

    def redirect(self, location: str, path: str = JWKS) -> None:
        """Send whoever asks elsewhere."""
        self.answers[path] = Answer(302, b"", {"Location": location})

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        path = request.path.removeprefix(self._prefix)
        gate = self._gates.get(path)
        if gate is not None:
            gate.wait(30)
        answer = self.answers.get(path) or self._document(path)
        # Who does not want to wait any longer is gone by now.
        with contextlib.suppress(OSError):
            request.send_response(answer.status)
            for name, value in answer.headers.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(answer.body)))
            request.end_headers()
            request.wfile.write(answer.body)

    def _document(self, path: str) -> Answer:
        if path == DISCOVERY:
            keys = self.url.removesuffix("/") + JWKS
            said = {"issuer": self.url, "jwks_uri": keys, **self.discovery}
        elif path == JWKS:
            said = {"keys": self.keys}
        else:
            return Answer(404)
        return Answer(200, json.dumps(said).encode(), {"Content-Type": "application/json"})
