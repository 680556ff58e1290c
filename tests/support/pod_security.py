"""Kubernetes' Pod Security Standard "restricted", and a read-only root on top of it.

Used by tests of what the chart renders. Promises: every control of the standard that a pod
template of ours could violate; what the standard leaves to the pod or to each container is
looked for in both, the container's word first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


def pod_specs(manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of a Pod, or of whatever makes pods."""
    spec = manifest.get("spec") or {}
    if manifest.get("kind") == "Pod":
        yield spec
    elif isinstance(spec.get("template"), dict):
        yield spec["template"]["spec"]
    elif isinstance(spec.get("jobTemplate"), dict):
        yield spec["jobTemplate"]["spec"]["template"]["spec"]


def violations(spec: Mapping[str, Any]) -> list[str]:
    """What the standard would refuse in a pod."""
    pod = spec.get("securityContext") or {}
    found = [f"{key} is set" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for volume in spec.get("volumes") or ():
        found += [f"volume {name}" for name in volume if name not in VOLUMES | {"name"}]
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        own = container.get("securityContext") or {}
        found += [f"{container['name']}: {what}" for what in _violations(container, own, pod)]
    return found


def _violations(
    container: Mapping[str, Any], own: Mapping[str, Any], pod: Mapping[str, Any]
) -> Iterator[str]:
    both = {**pod, **own}
    capabilities = own.get("capabilities") or {}
    if own.get("privileged"):
        yield "privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may escalate privileges"
    if capabilities.get("drop") != ["ALL"]:
        yield "does not drop all capabilities"
    if set(capabilities.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield "may run as root"
    if (both.get("seccompProfile") or {}).get("type") not in {"RuntimeDefault", "Localhost"}:
        yield "has no seccomp profile"
    if any("hostPort" in port for port in container.get("ports") or ()):
        yield "takes a port of its node"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "writes to its root"
