"""The operator that keeps usage in a cluster, found by its Lease, asked through a forwarded port.

Used by `usage`. The usage endpoint listens on loopback of the operator's pod, so the API server
decides who may ask: it takes the right to create `pods/portforward`. Promises: what is missing, not
allowed or not leading yet is a sentence that says which.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from portico_cli.cluster import Cluster, ClusterFault
from portico_cli.usage import Told, UsageFault
from portico_cli.usage_dev import exchange
from portico_compiler.passes.extensions import key_id
from portico_compiler.problems import ObjectRef

_SELECTOR: Final = "app.kubernetes.io/component=operator"
_CONTAINER: Final = "operator"
_USAGE_PORT: Final = "--usage-port="
_LEASE: Final = "--lease="
_PLURALS: Final = {"UsagePlan": "usageplans", "ApiKey": "apikeys"}


class _Release(NamedTuple):
    """Operators of one release."""

    namespace: str
    lease: str


class _Pod(NamedTuple):
    release: _Release
    name: str
    port: int


class ClusterKeeper:
    """Implements `usage.Keeper`."""

    def __init__(
        self, kubeconfig: str | None, context: str | None, operator_namespace: str | None
    ) -> None:
        try:
            self._cluster = Cluster(kubeconfig, context)
        except ClusterFault as fault:
            raise UsageFault(str(fault)) from fault
        self._operator_namespace = operator_namespace
        self.namespace = self._cluster.namespace

    def check(self, plan: ObjectRef, key: ObjectRef | None) -> None:
        """Whether both exist; who may not look is told by the operator."""
        for ref in filter(None, (plan, key)):
            try:
                self._cluster.get(_PLURALS[ref.kind], ref.namespace, ref.name)
            except ClusterFault as fault:
                if fault.status == 404:
                    raise UsageFault(f"there is no {ref}") from fault
                if fault.status != 403:
                    raise UsageFault(str(fault)) from fault

    def names(self) -> Mapping[str, str]:
        """Of keys with one value; names of others would take reading Secrets."""
        found: dict[str, str] = {}
        try:
            for document in self._cluster.list(_PLURALS["ApiKey"], None):
                metadata = document["metadata"]
                ref = ObjectRef("ApiKey", metadata["namespace"], metadata["name"])
                found[key_id(ref, None)] = f"{ref.namespace}/{ref.name}"
        except ClusterFault:
            return found  # ids are shown
        return found

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Told:
        """Of each release, whoever leads; the first that knows the plan has it."""
        told: Told | None = None
        try:
            for pod in self._leaders():
                told = self._ask(pod, method, path, body)
                if told.status != 404 or "API Key" in str(told.body):
                    return told
        except ClusterFault as fault:
            raise UsageFault(str(fault)) from fault
        assert told is not None
        return told

    def _ask(self, pod: _Pod, method: str, path: str, body: Mapping[str, Any] | None) -> Told:
        forwarded = self._cluster.forward(pod.release.namespace, pod.name, pod.port)
        connection = http.client.HTTPConnection("localhost", pod.port)
        connection.sock = forwarded.socket
        try:
            return exchange(connection, method, path, body)
        except (UsageFault, OSError) as why:
            place = f"port {pod.port} of pod {pod.release.namespace}/{pod.name}"
            raise UsageFault(f"{place}: {forwarded.error() or why}") from why
        finally:
            connection.close()

    def _leaders(self) -> Iterator[_Pod]:
        """The pod of each release that holds its Lease."""
        pods = [pod for raw in self._pods() if (pod := _pod(raw)) is not None]
        where = f"namespace {self._operator_namespace}" if self._operator_namespace else "cluster"
        if not pods:
            message = f"no operator of Portico runs in this {where} (pods labelled {_SELECTOR})"
            raise UsageFault(message)
        silent: list[str] = []
        found = False
        for release in dict.fromkeys(pod.release for pod in pods):
            holder = self._holder(release)
            leader = next(
                (pod for pod in pods if pod.release == release and _is_of(holder, pod.name)), None
            )
            if leader is None:
                silent.append(f"{release.namespace}/{release.lease}")
            else:
                found = True
                yield leader
        if not found:
            raise UsageFault(
                f"no operator leads now (Lease {', '.join(silent)}), so nobody keeps usage;"
                " try again in a few seconds"
            )

    def _pods(self) -> list[dict[str, Any]]:
        try:
            return list(self._cluster.pods(_SELECTOR, self._operator_namespace))
        except ClusterFault as fault:
            if fault.status != 403 or self._operator_namespace:
                raise
            raise UsageFault(f"{fault}; say --operator-namespace") from fault

    def _holder(self, release: _Release) -> str:
        try:
            lease = self._cluster.lease(release.namespace, release.lease)
        except ClusterFault as fault:
            if fault.status == 404:
                return ""
            raise
        return str((lease.get("spec") or {}).get("holderIdentity") or "")


def _pod(raw: dict[str, Any]) -> _Pod | None:
    """An operator's pod, by the options that the chart gives it; None: something else."""
    metadata = raw["metadata"]
    for container in (raw.get("spec") or {}).get("containers") or ():
        arguments = [*(container.get("command") or ()), *(container.get("args") or ())]
        port, lease = _option(arguments, _USAGE_PORT), _option(arguments, _LEASE)
        if container.get("name") == _CONTAINER and port.isdecimal() and lease:
            release = _Release(metadata["namespace"], lease)
            return _Pod(release, metadata["name"], int(port))
    return None


def _option(arguments: list[str], option: str) -> str:
    """The last counts, as it does for the operator."""
    said = [a.removeprefix(option) for a in arguments if a.startswith(option)]
    return said[-1] if said else ""


def _is_of(holder: str, pod: str) -> bool:
    """A replica calls itself by its pod's name and something random (`operator.settings`)."""
    return holder.rpartition("_")[0] == pod
