"""The script of `helm test`, against servers that stand in for the release's Services."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helm import CHART

SCRIPT = (CHART / "files/installed.py").read_text()


@contextmanager
def serving(statuses: dict[str, int]) -> Iterator[str]:
    """A server that answers each path with its status, others with 404; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.get(self.path, 404))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(admin: dict[str, int], traffic: dict[str, int]) -> subprocess.CompletedProcess[str]:
    with serving(admin) as of_admin, serving(traffic) as of_traffic:
        names = {"OPERATOR": of_admin, "DATAPLANES": of_admin, "TRAFFIC": of_traffic}
        return run(**names)


def run(**names: str) -> subprocess.CompletedProcess[str]:
    """The script, asking these Services once."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PATH": os.environ["PATH"], "PATIENCE": "0", **names},
        capture_output=True,
        text=True,
        check=False,
    )


GOOD = {"/readyz": 200, "/metrics": 200}


def test_a_release_that_serves_passes() -> None:
    """The gateway refuses a host that no API has: it answers all the same."""
    done = said(GOOD, {"/": 403})
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok: ") == 4


def test_every_data_plane_is_asked() -> None:
    with serving(GOOD) as good, serving({"/readyz": 503, "/metrics": 200}) as bad:
        done = run(OPERATOR=good, DATAPLANES=f"{good} {bad}", TRAFFIC=f"{good} {good}")
    assert done.returncode == 1
    assert f"FAILED: data plane is ready http://{bad}/readyz: 503" in done.stdout
    assert done.stdout.count("ok: ") == 6


@pytest.mark.parametrize(
    ("admin", "traffic", "what"),
    [
        ({**GOOD, "/readyz": 503}, {"/": 403}, "operator is ready"),
        ({"/readyz": 200}, {"/": 403}, "metrics are exported"),
        (GOOD, {"/": 503}, "traffic is answered"),
    ],
)
def test_what_does_not_is_named(admin: dict[str, int], traffic: dict[str, int], what: str) -> None:
    done = said(admin, traffic)
    assert done.returncode == 1
    assert f"FAILED: {what}" in done.stdout
    assert "Traceback" not in done.stderr
