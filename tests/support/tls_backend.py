"""A backend that speaks TLS, with OpenSSL as servers have it, and remembers who came how.

For tests of TLS to upstreams. Blocking sockets and threads, so that nothing of it runs on the loop
of the gateway that is tested.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any, NamedTuple, Self

from pki import Pair


class Seen(NamedTuple):
    """A connection whose handshake was good."""

    server_name: str
    """SNI; empty: none."""
    version: str
    """Of TLS."""
    resumed: bool
    """Without certificates and signatures."""
    client: str
    """Common name of the client's certificate; empty: it showed none."""
    protocol: str
    """Agreed by ALPN."""


def backend_context(
    pair: Pair,
    *,
    clients: str = "",
    least: ssl.TLSVersion | None = None,
    most: ssl.TLSVersion | None = None,
) -> ssl.SSLContext:
    """Shows `pair`; with `clients` nobody is let in whom these authorities do not vouch for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(pair.file(Path(folder), "server"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # what is old must fail at the gateway, not here
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=clients)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are such backends
        if least is not None:
            context.minimum_version = least
        if most is not None:
            context.maximum_version = most
    return context


class TlsBackend:
    """Answers every request with `name`; `closing`: one request for each connection."""

    def __init__(self, context: ssl.SSLContext, name: str = "ok", *, closing: bool = False) -> None:
        self.name = name
        self.closing = closing
        self.seen: list[Seen] = []
        self.requests: list[tuple[int, bytes]] = []
        """Number of the connection, and the head."""
        self.failed: list[str] = []
        """Handshakes that came to nothing, and why."""
        self._names: dict[int, str] = {}
        self.use(context)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def use(self, context: ssl.SSLContext) -> None:
        """For connections from now on."""

        def named(sock: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: object) -> None:
            self._names[id(sock)] = name or ""

        context.set_servername_callback(named)
        self._context = context

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(60)
        try:
            tls = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        except OSError:
            sock.close()
            return
        self._open.add(tls)
        try:
            tls.do_handshake()
        except OSError as error:
            self.failed.append(str(error))
            with contextlib.suppress(OSError):
                # The alert must not be destroyed by a reset.
                tls.shutdown(socket.SHUT_WR)
                while tls.recv(4096):
                    pass
        else:
            # ValueError: the test ends meanwhile.
            with contextlib.suppress(OSError, ValueError):
                self._answer(tls)
        finally:
            self._open.discard(tls)
            tls.close()

    def _answer(self, tls: ssl.SSLSocket) -> None:
        with self._lock:
            number = len(self.seen)
            self.seen.append(self._facts(tls))
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                more = tls.recv(65_536)
                if not more:
                    return
                received += more
            head, _, received = received.partition(b"\r\n\r\n")
            with self._lock:
                self.requests.append((number, head))
            last = b"Connection: close\r\n" if self.closing else b""
            body = self.name.encode()
            tls.sendall(
                b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (last, len(body), body)
            )
            if self.closing:
                tls.unwrap()
                return

    def _facts(self, tls: ssl.SSLSocket) -> Seen:
        certificate: dict[str, Any] = dict(tls.getpeercert() or {})
        subject = {name: value for part in certificate.get("subject", ()) for name, value in part}
        return Seen(
            self._names.pop(id(tls), ""),
            tls.version() or "",
            bool(tls.session_reused),
            str(subject.get("commonName", "")),
            tls.selected_alpn_protocol() or "",
        )
