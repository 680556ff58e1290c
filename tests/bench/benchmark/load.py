"""Load on a system: checked answers first, then wrk at full speed or an open loop at a rate.

Called by `run.py` for every stretch. A stretch in which anything went wrong is not a
measurement: it carries its fault and is left out of every ratio.
"""

from __future__ import annotations

import http.client
import ssl
import subprocess
from pathlib import Path

import msgspec

from benchmark import full, tools
from benchmark.processes import pinned
from benchmark.sites import BODIES, CONNECTIONS, FULL, HOST, TLS, body_of

HERE = Path(__file__).parent


class Stretch(msgspec.Struct, frozen=True):
    """What wrk counted."""

    requests: int
    microseconds: int
    received: int
    """Bytes, heads included."""
    connect: int
    read: int
    write: int
    status: int
    timeout: int
    p50_us: int
    p99_us: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests * 1e6 / self.microseconds

    def fault(self, body: bytes) -> str:
        """Why this may not be counted; empty when it may."""
        sockets = self.connect + self.read + self.write + self.timeout
        if sockets:
            return (
                f"socket errors: connect {self.connect}, read {self.read}, "
                f"write {self.write}, timeout {self.timeout}"
            )
        if self.status:
            return f"{self.status} answers were errors"
        if not self.requests:
            return "no request was answered"
        if self.received < self.requests * len(body):
            return "answers were shorter than the body"
        return ""


class OpenLoop(msgspec.Struct, frozen=True):
    """What the open-loop generator measured, times in microseconds from the intended send."""

    rate: float
    requests: int
    errors: int
    unfinished: int
    p50_us: float
    p99_us: float
    max_us: float
    lag_p99_us: float
    """How late the generator itself sent: part of every latency above, the direct one too."""

    def fault(self) -> str:
        """Why this may not be counted; empty when it may."""
        if self.errors or self.unfinished:
            return f"{self.errors} errors, {self.unfinished} unanswered"
        return ""


def parse_wrk(output: str) -> Stretch:
    """The line that wrk.lua prints."""
    for line in output.splitlines():
        if line.startswith("@@"):
            return msgspec.json.decode(line[2:], type=Stretch)
    raise ValueError(f"wrk printed no summary:\n{output}")


def wrk(
    port: int, case: str, seconds: int, core: int, host: str = HOST, scripts: Path = HERE
) -> Stretch:
    """Full speed over kept-alive connections; `scripts`: where a script may be written."""
    program = tools.program("wrk")
    assert program is not None
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s"]
    options += ["-H", f"Host: {host}"]
    script = HERE / "wrk.lua"
    if case == FULL:
        script = scripts / "full.lua"
        script.write_text(full.wrk_script((HERE / "wrk.lua").read_text(), host))
    url = f"http://127.0.0.1:{port}/{case}"
    if case == TLS:
        url = f"https://127.0.0.1:{port}/small"
    command = [program, *options, "-s", str(script), url]
    done = subprocess.run(pinned(core, command), capture_output=True, text=True, check=True)
    return parse_wrk(done.stdout)


def open_loop(port: int, rate: float, seconds: int, core: int) -> OpenLoop:
    """The small body at a fixed rate, whatever the answers do."""
    arguments = [str(port), HOST, "/small", f"{rate:.1f}", f"{seconds}", str(CONNECTIONS)]
    command = [tools.PYTHON, "-P", str(HERE / "openloop.py"), *arguments, str(len(BODIES["small"]))]
    done = subprocess.run(pinned(core, command), capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"the open-loop generator failed:\n{done.stderr}")
    return msgspec.json.decode(done.stdout, type=OpenLoop)


def _status(port: int, target: str, headers: dict[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", target, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def wrong_answer(port: int, case: str) -> str:
    """What is wrong with two requests on one connection; empty when all is right."""
    expected = body_of(case)
    target, headers = f"/{case}", {"Host": HOST}
    if case == FULL:
        target, headers = full.path(1), {"Host": HOST, "X-Api-Key": full.key(1)}
        status = _status(port, target, {"Host": HOST, "X-Api-Key": "nobody"})
        if status not in (401, 403):
            return f"{target} without a key: status {status}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    if case == TLS:
        target = "/small"
        unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=unverified)
    try:
        for _ in range(2):
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200:
                return f"/{case}: status {response.status}: {body[:200]!r}"
            if body != expected:
                return f"/{case}: {len(body)} bytes of body that differ from the upstream's"
            if response.will_close:
                return f"/{case}: the connection is not kept alive"
    except (OSError, http.client.HTTPException) as error:
        return f"/{case}: {error!r}"
    finally:
        connection.close()
    return ""
