"""The chart as users install it, with helm, and the example as they apply it, with kubectl.

Called by the e2e tests' fixtures and steps. Promises: what it returns from has happened in the
cluster (helm's and kubectl's own waits); `record` keeps what a step looks like for a reader.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from bed import RECORD, ROOT, Bed, eventually, keep_evidence
from helm import CHART
from kubernetes_api import OURS

RELEASE: Final = "portico"
NAMESPACE: Final = "portico-system"
EXAMPLE: Final = ("examples/petstore-backends.yaml", "examples/petstore/manifests")
BACKENDS: Final = ("pets", "files", "chat")
DOMAIN: Final = "apis.test"
"""As tests/e2e/values.yaml has it."""
HOST: Final = f"petstore.default.{DOMAIN}"
PATIENCE: Final = "--timeout=300s"
Object = dict[str, Any]


class Installation:
    """One release in one cluster."""

    def __init__(self, bed: Bed, values: Path) -> None:
        self.bed = bed
        self._values = values

    def install(self) -> None:
        """`helm install`, into a namespace that refuses pods with any privilege."""
        kubectl = self.bed.kubectl
        if NAMESPACE not in kubectl("get", "namespaces", "-o", "name").stdout:
            kubectl("create", "namespace", NAMESPACE)
            level = "pod-security.kubernetes.io/enforce=restricted"
            kubectl("label", "namespace", NAMESPACE, level)
        self._helm("install")

    def upgrade(self, **values: Any) -> None:
        """`helm upgrade` with these values beside the first ones."""
        self._helm("upgrade", *(f"--set-json={key}={json.dumps(v)}" for key, v in values.items()))

    def uninstall(self) -> None:
        """`helm uninstall`, until its pods are gone; what they wrote is kept."""
        keep_evidence(self.bed)
        # In the foreground: a Deployment is gone when its pods are.
        place = (f"--namespace={NAMESPACE}", "--cascade=foreground", "--wait", PATIENCE)
        self.bed.helm("uninstall", RELEASE, *place)

    def test(self) -> str:
        """`helm test`: what it printed."""
        return self.bed.helm("test", RELEASE, f"--namespace={NAMESPACE}", PATIENCE)

    def _helm(self, verb: str, *more: str) -> None:
        place = [RELEASE, str(CHART), f"--namespace={NAMESPACE}", f"--values={self._values}"]
        self.bed.helm(verb, *place, "--wait", PATIENCE, *more)

    # --- the example

    def apply_example(self) -> None:
        """The example, until every pod of the data plane serves all of it."""
        for path in EXAMPLE:
            self.bed.kubectl("apply", "-f", str(ROOT / path))
        for name in BACKENDS:
            self.rolled_out(f"deployment/{name}", "default")
        self.programmed("restapis", "routes", namespace="default")

    def programmed(self, *kinds: str, namespace: str) -> None:
        """`kubectl wait` for every object of these kinds."""
        for kind in kinds:
            self.bed.kubectl(
                *("wait", kind, "--all", f"--namespace={namespace}"),
                *("--for=condition=Programmed", PATIENCE),
            )

    # --- workloads

    def rolled_out(self, workload: str, namespace: str = NAMESPACE) -> None:
        """As `kubectl rollout status` sees it."""
        self.bed.kubectl("rollout", "status", workload, f"--namespace={namespace}", PATIENCE)

    def restart(self, workload: str, namespace: str = NAMESPACE) -> None:
        """`kubectl rollout restart`, until the new pods are ready and the old ones are gone."""
        former = self.names(workload, namespace)
        self.bed.kubectl("rollout", "restart", workload, f"--namespace={namespace}")
        self.rolled_out(workload, namespace)
        self.gone(former, namespace)

    def scale(self, workload: str, replicas: int, namespace: str = NAMESPACE) -> None:
        """`kubectl scale`, until exactly so many pods are there."""
        self.bed.kubectl("scale", workload, f"--replicas={replicas}", f"--namespace={namespace}")
        self.rolled_out(workload, namespace)
        eventually(
            lambda: len(self.pods(workload, namespace)) == replicas, f"{replicas} of {workload}"
        )

    def gone(self, names: list[str], namespace: str = NAMESPACE) -> None:
        """Until none of these pods exists any more."""
        self.bed.kubectl("wait", "--for=delete", *names, f"--namespace={namespace}", PATIENCE)

    def names(self, workload: str, namespace: str = NAMESPACE) -> list[str]:
        """Of a Deployment's pods, as `pod/NAME`."""
        return [f"pod/{pod['metadata']['name']}" for pod in self.pods(workload, namespace)]

    def pods(self, workload: str, namespace: str = NAMESPACE) -> list[Object]:
        """Of a Deployment, terminating ones included."""
        found = self.get(workload, namespace)["spec"]["selector"]["matchLabels"]
        return self._pods(",".join(f"{key}={value}" for key, value in found.items()), namespace)

    def _pods(self, selector: str, namespace: str) -> list[Object]:
        listed = self.get(f"pods --selector={selector}", namespace)
        items: list[Object] = listed["items"]
        return items

    def get(self, what: str, namespace: str = "") -> Object:
        """`kubectl get -o json`."""
        place = [f"--namespace={namespace}"] if namespace else ["--all-namespaces"]
        done = self.bed.kubectl("get", *what.split(), *place, "-o", "json")
        found: Object = json.loads(done.stdout)
        return found

    def service_address(
        self, name: str = f"{RELEASE}-dataplane", namespace: str = NAMESPACE
    ) -> str:
        """ClusterIP of a Service."""
        return str(self.get(f"service/{name}", namespace)["spec"]["clusterIP"])

    def node_address(self) -> str:
        """Of the node, and the port there that is the data plane's: `10.99.0.1:30080`."""
        (node,) = self.get("nodes")["items"]
        ports = self.get(f"service/{RELEASE}-dataplane", NAMESPACE)["spec"]["ports"]
        (port,) = (each for each in ports if each["name"] == "http")
        known = {each["type"]: each["address"] for each in reversed(node["status"]["addresses"])}
        return f"{known['InternalIP']}:{port['nodePort']}"

    def logs(self, workload: str, namespace: str = NAMESPACE) -> list[Object]:
        """Every line that its pods wrote, as the JSON that it is."""
        lines: list[Object] = []
        for pod in self.pods(workload, namespace):
            name = pod["metadata"]["name"]
            said = self.bed.kubectl("logs", name, f"--namespace={namespace}", "--tail=-1").stdout
            lines += [json.loads(line) for line in said.splitlines()]
        return lines

    # --- for a reader

    def record(self, step: str) -> None:
        """`kubectl get portico` and the YAML of every object of every kind, in build/e2e."""
        table = self.bed.kubectl("get", "portico", "--all-namespaces").stdout
        self.keep(f"{step}/portico.txt", table)
        for kind, plural in OURS.items():
            found = self.bed.kubectl("get", f"{plural}.portico.dev", "-A", "-o", "yaml").stdout
            self.keep(f"{step}/{kind}.yaml", found)

    def keep(self, name: str, text: str) -> None:
        """A file in build/e2e."""
        file = RECORD / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
