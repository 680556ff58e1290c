"""A real nginx in front of a recording upstream: the second opinion of the fuzz tests.

Promises: a process of its own on the loopback, everything it writes in a folder that goes away
with it. `NGINX` is None where there is none; whoever needs it skips and says so.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final, Self

from raw_http import PATIENCE
from raw_upstream import Upstream

NGINX: Final = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

# Patience as short as the engine's in the fuzz tests; what it tolerates is its default, apart from
# sizes, which are ours and more. X-Client names the connection: whatever a client sends, it is
# replaced.
CONFIG: Final = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    log_format told escape=none '$status $request';
    access_log {log};
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout {wait};
    client_body_timeout {wait};
    keepalive_timeout {wait};
    send_timeout {wait};
    lingering_close off;
    large_client_header_buffers 8 64k;
    client_max_body_size 16m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Client $remote_addr;
        }}
    }}
}}
"""


class Nginx:
    """One nginx; `logs`: it notes every request."""

    def __init__(self, *, wait_ms: int, logs: bool = False) -> None:
        self.upstream = Upstream()
        self._wait = f"{wait_ms}ms"
        self._logs = logs
        self._folder = tempfile.TemporaryDirectory(prefix="portico-nginx-")
        self.port = 0

    def __enter__(self) -> Self:
        assert NGINX is not None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        folder = Path(self._folder.name)
        (folder / "nginx.conf").write_text(
            CONFIG.format(
                folder=folder,
                port=self.port,
                upstream=self.upstream.port,
                wait=self._wait,
                log=f"{folder}/access.log told" if self._logs else "off",
            )
        )
        self._process = subprocess.Popen(
            [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self._wait_until_it_listens()
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()
        self.upstream.close()
        self._folder.cleanup()

    def log(self) -> list[tuple[int, bytes]]:
        """Status and request line of every request so far, of those refused or left too."""
        written = (Path(self._folder.name) / "access.log").read_bytes()
        found = [line.partition(b" ") for line in written.split(b"\n")[:-1]]
        return [(int(status), line) for status, _, line in found]

    def _wait_until_it_listens(self) -> None:
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), PATIENCE).close()
                return
            except ConnectionRefusedError:
                if self._process.poll() is not None:
                    assert self._process.stderr is not None
                    raise AssertionError(self._process.stderr.read().decode()) from None
