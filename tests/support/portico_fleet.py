"""A cluster of real processes around a real API server: what the chart and kubelet would make.

`Fleet` makes the namespace's accounts, the empty objects of the stream's CA and the class, starts
operators and pods with real tokens, and plays the two controllers that are absent: a pod's token
and its place in the EndpointSlice are written here. Backends listen on an address of this machine
that is no loopback, because EndpointSlices refuse those.
Promises: `close` ends every process by its id.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from control_plane import ControlPlane, free_port
from kubernetes_api import GROUP_VERSION, KubernetesApi, Refused
from manifests import manifest
from portico_processes import OperatorProcess, PodProcess, Running, wait_until
from slice_backends import Backend, Endpoint

CLASS = "portico"
"""The one class, which is the default."""
DATA_PLANE = "portico-dataplane"
"""Service and account of its pods."""
AUDIENCE = "portico-operator"
LEASE = "portico-operator"
Object = dict[str, Any]


class Fleet:
    """Everything of ours in one namespace of one control plane."""

    def __init__(
        self, plane: ControlPlane, namespace: str, folder: Path, data_plane: str = DATA_PLANE
    ) -> None:
        """`data_plane`: Service and account of its pods, which every class has of its own."""
        self.plane = plane
        self.data_plane = data_plane
        self.namespace = namespace
        self.folder = folder
        self.operators: list[OperatorProcess] = []
        self.pods: dict[str, PodProcess] = {}
        self._uids: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._backends: list[Backend] = []
        self._options: dict[str, tuple[str, ...]] = {}
        self._started: list[Running] = []
        self._prepare()

    @classmethod
    @contextlib.contextmanager
    def made(cls, plane: ControlPlane, folder: Path) -> Iterator[Self]:
        """In a namespace of its own, which goes with it."""
        namespace = f"fleet-{secrets.token_hex(3)}"
        plane.api.create_namespace(namespace)
        with cls(plane, namespace, folder) as fleet:
            yield fleet
        plane.api.remove_namespace(namespace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            for operator in self.operators:
                error.add_note(operator.testimony())
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

    def processes(self) -> list[Running]:
        """Every one that was started."""
        for process in self._started:
            process.read()
        return self._started

    # -- the control plane's side

    def _prepare(self) -> None:
        for kind, name in (
            ("Secret", "portico-ca"),
            ("ConfigMap", "portico-ca-bundle"),
            ("ServiceAccount", self.data_plane),
        ):
            metadata = {"name": name, "namespace": self.namespace}
            self._create({"apiVersion": "v1", "kind": kind, "metadata": metadata})
        own = manifest("PorticoClass", CLASS, {"default": True})
        self._create({**own, "metadata": {"name": CLASS}})

    def _create(self, document: Object) -> None:
        """Unless it is there."""
        try:
            metadata = document["metadata"]
            place = metadata["name"], metadata.get("namespace", "")
            self.api.get(document["apiVersion"], document["kind"], *place)
        except Refused as refused:
            if refused.status != 404:
                raise
            self.api.create(document)

    def operator(
        self,
        name: str,
        *options: str,
        port: int = 0,
        kubeconfig: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> OperatorProcess:
        """Another replica, started and not yet ready."""
        made = OperatorProcess.start(
            name,
            self.folder,
            kubeconfig or self.plane.kubeconfig,
            port or free_port(),
            *("--namespace", self.namespace, *options),
            environ=environ,
        )
        self._started.append(made)
        self.operators.append(made)
        self._options[name] = options
        return made

    def restart(
        self, operator: OperatorProcess, environ: Mapping[str, str] | None = None
    ) -> OperatorProcess:
        """The same replica again: another process, at the same address."""
        operator.kill()
        self.operators.remove(operator)
        port = int(operator.address.rpartition(":")[2])
        return self.operator(
            operator.name, *self._options[operator.name], port=port, environ=environ
        )

    def authority(self) -> Path:
        """The CA bundle as a pod mounts it, once an operator has made it."""
        path = self.folder / "ca.crt"

        def look() -> str:
            found = self.api.get("v1", "ConfigMap", "portico-ca-bundle", self.namespace)
            return str((found.get("data") or {}).get("ca.crt") or "")

        path.write_text(wait_until(look, "the stream's CA"))
        return path

    def leader(self) -> OperatorProcess:
        """The replica that writes status, once there is one."""

        def leading() -> OperatorProcess | None:
            living = [each for each in self.operators if each.alive]
            return next((each for each in living if each.metric("portico_leader") == 1), None)

        found = wait_until(leading, "a leader")
        assert found is not None
        return found

    # -- objects

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Objects of ours, in this namespace."""
        for each in manifests:
            metadata = {**each["metadata"], "namespace": self.namespace}
            self.api.apply({**each, "metadata": metadata})

    def delete(self, kind: str, name: str) -> None:
        """One of them."""
        self.api.delete(GROUP_VERSION, kind, name, self.namespace)

    def version(self, kind: str, name: str) -> str:
        """Its resourceVersion: every write changes it."""
        found = self.api.get(GROUP_VERSION, kind, name, self.namespace)
        return str(found["metadata"]["resourceVersion"])

    def condition(self, kind: str, name: str, type_: str) -> Condition:
        """What status says of the object as it is now; nothing while it is of an earlier one."""
        found = self.api.get(GROUP_VERSION, kind, name, self.namespace)
        status = found.get("status") or {}
        if status.get("observedGeneration") == found["metadata"]["generation"]:
            for each in status.get("conditions") or ():
                if each["type"] == type_:
                    return Condition(each["status"], each["reason"], each.get("message", ""))
        return Condition("", "", "")

    def says(self, kind: str, name: str, type_: str, status: str, reason: str = "") -> Condition:
        """The condition, once it has this status, and this reason where one is named."""

        def look() -> Condition | None:
            found = self.condition(kind, name, type_)
            is_it = found.status == status and reason in ("", found.reason)
            return found if is_it else None

        found = wait_until(look, f"{kind} {name} to be {type_}={status} {reason}".strip())
        assert found is not None
        return found

    def host(self, api: str) -> str:
        """Of an API's default endpoint."""
        return f"{api}.{self.namespace}.localhost"

    def answers(
        self, api: str, path: str, status: int, body: str = "", pods: Iterable[str] = ()
    ) -> None:
        """Once these pods (all) give this status, and a body that begins so."""
        for name in pods or self.pods:
            pod = self.pods[name]

            def look(pod: PodProcess = pod) -> bool:
                seen, said = pod.get(self.host(api), path)
                return seen == status and said.startswith(body)

            wait_until(look, f"{name} to answer {path} with {status} {body}".rstrip())

    def ports(self) -> dict[str, int]:
        """Traffic ports by pod, for `SteadyLoad`."""
        return {name: pod.port for name, pod in self.pods.items()}

    # -- the data plane's side

    def pod_object(self, name: str) -> Object:
        """The Pod, made when it is not there."""
        spec = {
            "serviceAccountName": self.data_plane,
            "containers": [{"name": "c", "image": "none"}],
        }
        metadata = {"name": name, "namespace": self.namespace}
        with contextlib.suppress(Refused):
            self.api.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        return self.api.get("v1", "Pod", name, self.namespace)

    def token(self, name: str, audiences: Iterable[str] = (AUDIENCE,)) -> Path:
        """A file with the pod's token, as kubelet projects it."""
        pod = self.pod_object(name)
        self._uids[name] = pod["metadata"]["uid"]
        token = self.api.service_account_token(
            self.namespace, self.data_plane, audiences=audiences, pod=pod
        )
        path = self.folder / f"{name}.token"
        beside = path.with_suffix(".new")
        beside.write_text(token)
        beside.replace(path)
        return path

    def pod(
        self,
        name: str,
        *options: str,
        operators: Sequence[str] = (),
        authority: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> PodProcess:
        """A pod that is fed by the operators at these addresses (all); started, not yet ready."""
        addresses = operators or [operator.address for operator in self.operators]
        token, authority = self.token(name), authority or self.authority()
        made = PodProcess.start(
            name, self.folder, addresses, token, authority, *options, environ=environ
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
        self.api.apply(endpoint_slice(self.data_plane, self.namespace, endpoints, 8080))

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

    def keep(self, *backends: Backend) -> None:
        """Ends them with everything else."""
        self._backends += backends

    def backend(self, service: str, namespace: str = "") -> Backend:
        """A real backend behind a Service of this name, with its Service and EndpointSlice."""
        made = Backend(service)
        self._backends.append(made)
        self.expose(service, [made], namespace)
        return made

    def expose(
        self,
        service: str,
        backends: Sequence[Endpoint],
        namespace: str = "",
        cluster_ip: Endpoint | None = None,
    ) -> None:
        """The Service, and these backends as its ready endpoints.

        `cluster_ip` is a backend that answers for the Service as kube-proxy would.
        """
        place = namespace or self.namespace
        spec: Object = {"ports": [{"name": "http", "port": 80}]}
        if cluster_ip is not None:
            spec = {
                "clusterIP": cluster_ip.host,
                "ports": [{"name": "http", "port": cluster_ip.port}],
            }
        metadata = {"name": service, "namespace": place}
        self._create({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})
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


class Condition(NamedTuple):
    """A condition of a status."""

    status: str
    reason: str
    message: str
