"""A cluster of real processes around a real API server: what the chart and kubelet would make.

`Fleet` makes the namespace's accounts, the empty objects of the stream's CA and the Service of the
data plane, starts operators and pods with real tokens, and plays the two controllers that are
absent: a pod's token and its place in the EndpointSlice are written here. Backends listen on an
address of this machine that is no loopback, because EndpointSlices refuse those.
Promises: `close` ends every process by its id.
"""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from control_plane import ControlPlane, free_port
from kubernetes_api import KubernetesApi, Refused
from portico_processes import OperatorProcess, PodProcess, Running, wait_until

DATA_PLANE = "portico-dataplane"
"""Service and account of the default class's pods."""
AUDIENCE = "portico-operator"
LEASE = "portico-operator"
Object = dict[str, Any]


class Fleet:
    """Everything of ours in one namespace of one control plane."""

    def __init__(self, plane: ControlPlane, namespace: str, folder: Path) -> None:
        self.plane = plane
        self.namespace = namespace
        self.folder = folder
        self.operators: list[OperatorProcess] = []
        self.pods: dict[str, PodProcess] = {}
        self._uids: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._backends: list[Backend] = []
        self._started: list[Running] = []
        self._prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def api(self) -> KubernetesApi:
        """The API as an administrator sees it."""
        return self.plane.api

    def close(self) -> None:
        """End every process and backend."""
        for process in self._started:
            process.kill()
        for backend in self._backends:
            backend.close()

    # -- the control plane's side

    def _prepare(self) -> None:
        for kind, name in (
            ("Secret", "portico-ca"),
            ("ConfigMap", "portico-ca-bundle"),
            ("ServiceAccount", DATA_PLANE),
        ):
            metadata = {"name": name, "namespace": self.namespace}
            with contextlib.suppress(Refused):
                self.api.create({"apiVersion": "v1", "kind": kind, "metadata": metadata})

    def operator(
        self, name: str, *options: str, port: int = 0, kubeconfig: Path | None = None
    ) -> OperatorProcess:
        """Another replica, started and not yet ready."""
        made = OperatorProcess.start(
            name,
            self.folder,
            kubeconfig or self.plane.kubeconfig,
            port or free_port(),
            *("--namespace", self.namespace, *options),
        )
        self._started.append(made)
        self.operators.append(made)
        return made

    def authority(self) -> Path:
        """The CA bundle as a pod mounts it, once an operator has made it."""
        path = self.folder / "ca.crt"
        version = ("v1", "ConfigMap", "portico-ca-bundle", self.namespace)
        bundle = wait_until(
            lambda: (self.api.get(*version).get("data") or {}).get("ca.crt"), "the stream's CA"
        )
        path.write_text(bundle)
        return path

    # -- the data plane's side

    def pod_object(self, name: str) -> Object:
        """The Pod, made when it is not there."""
        spec = {"serviceAccountName": DATA_PLANE, "containers": [{"name": "c", "image": "none"}]}
        metadata = {"name": name, "namespace": self.namespace}
        with contextlib.suppress(Refused):
            self.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        return self.api.get("v1", "Pod", name, self.namespace)

    def token(self, name: str, audiences: Iterable[str] = (AUDIENCE,)) -> Path:
        """A file with the pod's token, as kubelet projects it."""
        pod = self.pod_object(name)
        self._uids[name] = pod["metadata"]["uid"]
        token = self.api.service_account_token(
            self.namespace, DATA_PLANE, audiences=audiences, pod=pod
        )
        path = self.folder / f"{name}.token"
        beside = path.with_suffix(".new")
        beside.write_text(token)
        beside.replace(path)
        return path

    def pod(
        self, name: str, operators: Sequence[OperatorProcess] | None = None, *options: str
    ) -> PodProcess:
        """A pod that is fed by these operators (all of them); started, not yet ready."""
        chosen = self.operators if operators is None else operators
        made = PodProcess.start(
            name,
            self.folder,
            [operator.address for operator in chosen],
            self.token(name),
            self.authority(),
            *options,
        )
        self._started.append(made)
        self.pods[name] = made
        return made

    def enlist(self, *names: str) -> None:
        """These pods are in the data plane's EndpointSlice, ready; nobody else is."""
        endpoints = []
        for number, name in enumerate(names):
            uid = self._uids.get(name) or self.pod_object(name)["metadata"]["uid"]
            endpoints.append(
                {
                    "addresses": [f"10.9.0.{number + 1}"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": {
                        "kind": "Pod",
                        "name": name,
                        "namespace": self.namespace,
                        "uid": uid,
                    },
                }
            )
        self.api.apply(endpoint_slice(DATA_PLANE, self.namespace, endpoints, 8080))

    def ready(self, *names: str) -> None:
        """Once these pods are ready; then they are enlisted, as the endpoint controller would."""
        for name in names:
            pod = self.pods[name]
            wait_until(lambda pod=pod: pod.is_ready, f"{name} ready")  # type: ignore[misc]
        self.enlist(*names)

    def remove_pod(self, name: str) -> None:
        """The Pod leaves the cluster, its process is not touched."""
        self.api.delete("v1", "Pod", name, self.namespace)
        self._uids.pop(name, None)

    # -- backends

    def backend(self, service: str, namespace: str = "") -> Backend:
        """A real backend behind a Service of this name, with its Service and EndpointSlice."""
        made = Backend(service)
        self._backends.append(made)
        self.expose(service, [made], namespace)
        return made

    def expose(
        self, service: str, backends: Sequence[Backend], namespace: str = "", cluster_ip: str = ""
    ) -> None:
        """The Service, and these backends as its ready endpoints."""
        place = namespace or self.namespace
        spec: Object = {"ports": [{"name": "http", "port": 80}]}
        if cluster_ip:
            spec["clusterIP"] = cluster_ip
        metadata = {"name": service, "namespace": place}
        with contextlib.suppress(Refused):
            self.api.create(
                {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
            )
        for number in range(max(1, len(backends))):
            own = backends[number : number + 1]
            endpoints = [{"addresses": [b.host], "conditions": {"ready": True}} for b in own]
            port = own[0].port if own else 80
            self.api.apply(endpoint_slice(service, place, endpoints, port, number))


def endpoint_slice(
    service: str, namespace: str, endpoints: list[Object], port: int, number: int = 0
) -> Object:
    """As the endpoint controller writes it."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-{number}",
            "namespace": namespace,
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


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
