"""The same tests on kind, for users who have Docker and kind: `make kind`.

`KindCluster` makes a cluster of one node, gives it our images, and deletes it at the end.
tests/e2e/kind has seen that docker, kind, kubectl and helm are there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from bed import IMAGES, ROOT, VERSION, Bed, run
from node_supplies import EXAMPLE


class KindCluster(Bed):
    """A cluster in Docker, ready."""

    name = "kind"

    def __init__(self) -> None:
        self._cluster = f"portico-e2e-{secrets.token_hex(3)}"
        self._node = f"{self._cluster}-control-plane"
        self._home = Path(tempfile.mkdtemp(prefix="portico-kind-"))

    def __enter__(self) -> Self:
        try:
            self._build()
            kind = ["kind", "create", "cluster", f"--name={self._cluster}", "--wait=180s"]
            run([*kind, f"--kubeconfig={self._kubeconfig}"])
            images = [f"{name}:{VERSION}" for name in IMAGES]
            run(["kind", "load", "docker-image", f"--name={self._cluster}", *images])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        run(["kind", "delete", "cluster", f"--name={self._cluster}"], check=False)
        shutil.rmtree(self._home, ignore_errors=True)

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return run(self.kubectl_command(*arguments), stdin=stdin, check=check)

    def kubectl_command(self, *arguments: str) -> list[str]:
        return ["kubectl", f"--kubeconfig={self._kubeconfig}", *arguments]

    def helm(self, *arguments: str) -> str:
        return run(["helm", f"--kubeconfig={self._kubeconfig}", *arguments]).stdout

    def on_node(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(["docker", "exec", self._node, *command], check=check)

    def outside(self, *command: str) -> str:
        # The node's image has all programs that tests call, and is here already.
        image = run(["docker", "inspect", "--format={{.Config.Image}}", self._node]).stdout.strip()
        place = ["--rm", "--network=kind", f"--entrypoint={command[0]}", image]
        return run(["docker", "run", *place, *command[1:]]).stdout

    @property
    def _kubeconfig(self) -> Path:
        return self._home / "kubeconfig"

    def _build(self) -> None:
        base = os.environ.get("BASE_IMAGE")
        given = [f"--build-arg=BASE_IMAGE={base}"] if base else []
        for target in ("operator", "dataplane"):
            build = ["docker", "build", f"--target={target}", f"--tag=portico-{target}:{VERSION}"]
            run([*build, *given, str(ROOT)])
        example = ["docker", "build", f"--build-arg=BASE_IMAGE=portico-dataplane:{VERSION}"]
        run([*example, f"--tag=portico-petstore:{VERSION}", str(ROOT / EXAMPLE)])
