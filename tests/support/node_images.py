"""Our images on a real node: built from the Dockerfile by Docker, handed to containerd.

Called by `RealNode` inside its namespaces, where there is no network: wheels and base image lie
in the supplies. What was built is kept, so a run whose sources are those of the last one starts
no Docker. Promises: the saved file is whole, and holds the images under the chart's own names.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bed import IMAGES, VERSION, eventually, run
from node_supplies import EXAMPLE, Supplies, alone

BASE: Final = "portico.test/base:1"
DOCKER: Final = "/usr/bin/docker"
Launch = Callable[[str, Sequence[str]], subprocess.Popen[bytes]]


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs containers here."""

    state: Path
    """Folder for whatever it keeps."""
    containerd: Path
    """Its socket."""


def ensure_images(supplies: Supplies, engine: Engine, launch: Launch) -> None:
    """Build our images and save them, unless they are."""
    with alone():
        if not supplies.images.exists():
            _with_docker(supplies, engine, launch)


def _with_docker(supplies: Supplies, engine: Engine, launch: Launch) -> None:
    socket = engine.state / "docker.sock"
    flags = [
        f"--host=unix://{socket}",
        f"--containerd={engine.containerd}",
        f"--data-root={engine.state / 'docker'}",
        f"--exec-root={engine.state / 'docker-exec'}",
        f"--pidfile={engine.state / 'docker.pid'}",
        # Steps run in the node's network, which has nothing to reach.
        "--bridge=none",
        "--iptables=false",
    ]
    daemon = launch("dockerd", flags)
    try:
        _build(supplies, [DOCKER, f"--host=unix://{socket}"], daemon)
    finally:
        daemon.terminate()
        daemon.wait()


def _build(supplies: Supplies, docker: list[str], daemon: subprocess.Popen[bytes]) -> None:
    def answers() -> bool:
        assert daemon.poll() is None, "dockerd ended: see dockerd.log"
        return run([*docker, "version"], check=False).returncode == 0

    eventually(answers, "dockerd answers")
    run([*docker, "import", str(supplies.base), BASE])
    for target in ("operator", "dataplane"):
        build = [*docker, "build", "--network=host", f"--target={target}"]
        build += [f"--build-arg=BASE_IMAGE={BASE}", f"--tag=portico-{target}:{VERSION}"]
        run([*build, str(supplies.context)])
    example = [*docker, "build", f"--build-arg=BASE_IMAGE=portico-dataplane:{VERSION}"]
    run([*example, f"--tag=portico-petstore:{VERSION}", str(supplies.context / EXAMPLE)])
    beside = supplies.images.with_suffix(".new")
    run([*docker, "save", f"--output={beside}", *(f"{name}:{VERSION}" for name in IMAGES)])
    beside.rename(supplies.images)
    shutil.rmtree(supplies.context)


def import_images(supplies: Supplies, engine: Engine, pause: str) -> None:
    """Give them to Kubernetes' containerd, and beside them the image that holds a pod."""
    held = engine.state / "pause.tar"
    pack_program(supplies.programs / "pause", pause, held)
    for file in (held, supplies.images):
        run(["ctr", f"--address={engine.containerd}", "-n=k8s.io", "images", "import", str(file)])


def pack_program(program: Path, name: str, target: Path) -> None:
    """An image of one static program and nothing else, as `docker save` would write it."""
    layer = _tar({program.name: (program.read_bytes(), 0o755)})
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "config.json": json.dumps(config).encode(),
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    target.write_bytes(_tar({path: (content, 0o644) for path, content in files.items()}))


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
