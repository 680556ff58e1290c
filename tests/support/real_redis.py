"""A real Redis (or Valkey) of our own: on loopback, in a folder that goes away with it.

Used by tests of the store and by the accuracy benchmark. `REDIS` is None where there is none;
whoever needs it skips and says so (`.ci/debian redis-server:redis-server` brings it).
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

REDIS: Final = shutil.which("redis-server") or shutil.which("valkey-server")
PATIENCE_S: Final = 20.0


class RealRedis:
    """One server; `restart` keeps its port, and its data where `keeps`."""

    def __init__(
        self, *options: str, keeps: bool = False, tls: bool = False, sentinel: bool = False
    ) -> None:
        assert REDIS is not None
        self.folder = tempfile.mkdtemp(prefix="portico-redis-")
        self.port = _free_port()
        self._tls = tls
        self._sentinel = sentinel
        self._options = options
        self._keeps = ("--appendonly", "yes", "--appendfsync", "always") if keeps else ()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Until it takes connections."""
        assert REDIS is not None
        self._process = subprocess.Popen(
            self._command(REDIS),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 0.2).close()
            except OSError:
                assert self._process.poll() is None, f"{REDIS} ended"
                time.sleep(0.01)
            else:
                return
        raise AssertionError("Redis does not start")

    def _command(self, program: str) -> list[str]:
        if self._sentinel:
            # It writes its own state into the file that it is configured with.
            config = Path(self.folder, "sentinel.conf")
            lines = [option.removeprefix("--") for option in self._options]
            config.write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", *lines, ""]))
            return [program, str(config), "--sentinel"]
        port = ("--port", "0", "--tls-port") if self._tls else ("--port",)
        return [
            *(program, *port, str(self.port), "--bind", "127.0.0.1", "--dir", self.folder),
            *("--save", "", "--loglevel", "warning", *self._keeps, *self._options),
        ]

    def kill(self) -> None:
        """As a machine that fails."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """What it has written is lost; it must not be running."""
        assert self._process is None
        shutil.rmtree(Path(self.folder, "appendonlydir"), ignore_errors=True)
        Path(self.folder, "appendonly.aof").unlink(missing_ok=True)

    def freeze(self, *, frozen: bool) -> None:
        """It takes connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def operations(self) -> int:
        """Scripts that were run since it started."""
        return sum(
            int(line.partition("calls=")[2].partition(",")[0])
            for line in self._info("commandstats")
            if line.startswith(("cmdstat_evalsha:", "cmdstat_eval:"))
        )

    def _info(self, section: str) -> list[str]:
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.sendall(f"INFO {section}\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n") and answer.count(b"\r\n") < 500:
                piece = connection.recv(65536)
                answer += piece
                if not piece or _is_whole(answer):
                    break
        return answer.decode().splitlines()


def _is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n")
    return head[:1] == b"$" and len(body) >= int(head[1:]) + 2


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def certificate(folder: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key: paths of both."""
    import datetime as dt
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = Path(folder, "tls.crt"), Path(folder, "tls.key")
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
