"""Backends that EndpointSlices may name: real HTTP servers on an address that is no loopback.

Used by `Fleet`, by the fault tests that end one, and by `make bench-scale`, which has a quicker one
of its own. Promises: `close` refuses new connections and cuts those there are, as a pod that goes.
"""

from __future__ import annotations

import contextlib
import http.server
import ipaddress
import socket
import threading
from typing import Any, Protocol


class Endpoint(Protocol):
    """Where a backend listens."""

    host: str
    port: int


class Backend:
    """An HTTP server that answers with its name and the path it was asked for."""

    def __init__(self, name: str, port: int = 0) -> None:
        said = name

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = f"{said} {self.path}".encode()
                self.wfile.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self.host = own_address()
        self._server = _Server((self.host, port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=f"backend {name}", daemon=True
        )
        self._thread.start()
        self._is_open = True

    def close(self) -> None:
        """Refuse connections, and cut those there are."""
        if self._is_open:
            self._is_open = False
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, *arguments: Any) -> None:
        self._taken: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._taken.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._taken.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for taken in list(self._taken):
            with contextlib.suppress(OSError):
                taken.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is no news."""


def own_address() -> str:
    """An address of this machine that an EndpointSlice takes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: the system only chooses where it would send from.
            probe.connect(("192.0.2.1", 9))
            found = str(probe.getsockname()[0])
        except OSError:
            found = "127.0.0.1"
    if found.startswith("127."):
        raise OSError("this machine has no address but loopback, which EndpointSlices refuse")
    return found


def service_range() -> str:
    """A range for ClusterIPs that holds this machine's own address: who listens there answers for
    a Service as if kube-proxy had led there. The API server takes the first address for itself."""
    own = own_address()
    # Large, so that no Service is given our own by chance.
    for length in range(20, 11, -1):
        network = ipaddress.ip_network(f"{own}/{length}", strict=False)
        if network[1] != ipaddress.ip_address(own) != network[0]:
            return str(network)
    raise OSError(f"no range of Services holds {own}")
