"""A real Kubernetes node for tests: control plane, containerd, kubelet, kube-proxy, DNS.

tests/e2e/run has made the namespaces that all of it lives in; outside of such it refuses to
start. `RealNode` is a context manager: entering starts everything, builds our images where the
cache has none, and waits until the node is ready. It promises no clean end: when the first
process of the namespaces ends, the kernel ends the rest. Logs are left in build/e2e.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import helm
from bed import RECORD, Bed, run
from control_plane import ControlPlane, DidNotStart
from kubernetes_api import Refused
from node_images import Engine, ensure_images, import_images
from node_supplies import PROGRAMS, Supplies, supplies

STATE: Final = Path("/run/portico")
CONTAINERD: Final = Path("/run/containerd/containerd.sock")
"""Where `ctr` looks for it."""
ADDRESS: Final = "10.99.0.1"
NODE: Final = "node1"
OUTSIDE: Final = "outside"
"""A network beside the node's, where it is a neighbour's address and nothing else is known."""
PODS: Final = "10.244.0.0/16"
PAUSE: Final = "portico.test/pause:1"
COMPONENTS: Final = {
    "kube-controller-manager": "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
    "kube-proxy": "system:kube-proxy",
    "kubelet": f"system:node:{NODE}",
}
"""Program to the user that its rights are given to; the roles come with the API server."""


class NodeControlPlane(ControlPlane):
    """The test bed's control plane, as a node needs it: every address, all admission, pods."""

    def start_api_server(self) -> None:
        # The one address that its certificate is for, and that pods can reach too.
        self.url = f"https://{ADDRESS}:{self._port}"
        super().start_api_server()

    def _api_server_flags(self) -> list[str]:
        changed = {
            "--bind-address": "0.0.0.0",
            "--advertise-address": ADDRESS,
            "--endpoint-reconciler-type": "lease",
            "--authorization-mode": "Node,RBAC",
        }
        # Nothing makes ServiceAccounts there; here the controller manager does.
        flags = [
            flag
            for flag in super()._api_server_flags()
            if flag.partition("=")[0] not in {*changed, "--disable-admission-plugins"}
        ]
        flags += [f"{name}={value}" for name, value in changed.items()]
        return [*flags, "--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP"]

    def launch(self, name: str, flags: Sequence[str]) -> subprocess.Popen[bytes]:
        """Another program of the folder."""
        return self._start(name, [*flags])

    def until(self, process: subprocess.Popen[bytes], name: str, ready: Callable[[], bool]) -> None:
        """Wait; the wait ends at once when the process does."""
        self._wait(process, name, ready)


class RealNode(Bed):
    """One node, ready."""

    name = "node"

    def __init__(self) -> None:
        others = [name for _, name in socket.if_nameindex() if name != "lo"]
        if os.getuid() != 0 or others:
            raise DidNotStart("a node is started by `make e2e` only, in namespaces of its own")
        self._supplies: Supplies = supplies(os.environ.get("PORTICO_SUPPLIES", ""))
        users = {user: ("system:nodes",) if "node:" in user else () for user in COMPONENTS.values()}
        self._control = NodeControlPlane(_all_programs(self._supplies.programs), users=users)
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for folder in ("containerd", "kubelet", "cni", "tmp"):
            (STATE / folder).mkdir(parents=True, exist_ok=True)
        _network()
        try:
            self._control.start()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._keep_logs()
        while self._started:
            process = self._started.pop()
            process.kill()
            process.wait()
        self._control.stop()

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return run(self.kubectl_command(*arguments), stdin=stdin, check=check)

    def kubectl_command(self, *arguments: str) -> list[str]:
        return [
            str(self._control.binaries / "kubectl"),
            f"--kubeconfig={self._control.kubeconfig}",
            f"--cache-dir={STATE / 'kubectl'}",
            *arguments,
        ]

    def helm(self, *arguments: str) -> str:
        return helm.run(f"--kubeconfig={self._control.kubeconfig}", *arguments, home=STATE / "helm")

    def on_node(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return run(list(command), check=check)

    def outside(self, *command: str) -> str:
        return run(["ip", "netns", "exec", OUTSIDE, *command]).stdout

    # --- parts

    def _start(self) -> None:
        self._launch("kube-controller-manager", self._controller_manager_flags())
        self._launch("kube-scheduler", ["--leader-elect=false", *self._config("kube-scheduler")])
        containerd = self._start_containerd()
        engine = Engine(STATE, containerd)
        ensure_images(self._supplies, engine, self._launch)
        import_images(self._supplies, engine, PAUSE)
        kubelet = self._launch("kubelet", self._kubelet_flags(containerd))
        self._launch("kube-proxy", self._proxy_flags())
        dns = self._launch("coredns", ["-conf", str(self._corefile())])
        self._control.until(kubelet, "kubelet", self._is_ready)
        self._control.until(dns, "coredns", _answers_names)

    def _launch(self, name: str, flags: Sequence[str]) -> subprocess.Popen[bytes]:
        process = self._control.launch(name, flags)
        self._started.append(process)
        return process

    def _config(self, program: str) -> list[str]:
        return [f"--kubeconfig={self._control.kubeconfig_of(COMPONENTS[program])}"]

    def _controller_manager_flags(self) -> list[str]:
        folder = self._control.folder
        return [
            *self._config("kube-controller-manager"),
            "--use-service-account-credentials",
            f"--service-account-private-key-file={folder / 'account.key'}",
            f"--root-ca-file={self._control.ca_file}",
            "--allocate-node-cidrs",
            f"--cluster-cidr={PODS}",
            "--leader-elect=false",
        ]

    def _start_containerd(self) -> Path:
        plugins = _write(
            STATE / "cni" / "10-bridge.conflist",
            {
                "cniVersion": "0.4.0",
                "name": "portico",
                "plugins": [
                    {
                        "type": "bridge",
                        "bridge": "cni0",
                        "isGateway": True,
                        "ipMasq": True,
                        "hairpinMode": True,
                        "ipam": {
                            "type": "host-local",
                            "ranges": [[{"subnet": PODS.replace("/16", "/24")}]],
                            "routes": [{"dst": "0.0.0.0/0"}],
                        },
                    },
                    {"type": "portmap", "capabilities": {"portMappings": True}},
                ],
            },
        )
        listening = CONTAINERD
        listening.parent.mkdir(exist_ok=True)
        config = STATE / "containerd" / "config.toml"
        # restrict_oom_score_adj: where the capability SYS_RESOURCE is missing, runc otherwise
        # dies with "can't get final child's PID from pipe: EOF".
        config.write_text(
            f"""version = 2
root = "{STATE}/containerd/root"
state = "{STATE}/containerd/state"
[grpc]
  address = "{listening}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{plugins.parent}"
"""
        )
        process = self._launch("containerd", ["--config", str(config)])

        def answers() -> bool:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(listening))
            return True

        self._control.until(process, "containerd", answers)
        return listening

    def _kubelet_flags(self, containerd: Path) -> list[str]:
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{containerd}",
            "cgroupDriver": "cgroupfs",
            "failCgroupV1": False,
            "failSwapOn": False,
            "enforceNodeAllocatable": [],
            "clusterDNS": [ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": "/dev/null",
            # The network is ours alone.
            "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "maxPods": 60,
        }
        file = _write(STATE / "kubelet" / "config.json", config)
        return [
            *self._config("kubelet"),
            f"--config={file}",
            f"--root-dir={STATE / 'kubelet'}",
            f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS}",
        ]

    def _proxy_flags(self) -> list[str]:
        return [
            *self._config("kube-proxy"),
            "--proxy-mode=iptables",
            f"--cluster-cidr={PODS}",
            f"--hostname-override={NODE}",
            "--conntrack-max-per-core=0",
        ]

    def _corefile(self) -> Path:
        file = STATE / "Corefile"
        file.write_text(
            ".:53 {\n  errors\n  kubernetes cluster.local {\n"
            f"    kubeconfig {self._control.kubeconfig}\n  }}\n}}\n"
        )
        return file

    def _is_ready(self) -> bool:
        try:
            node = self._control.api.request("GET", f"/api/v1/nodes/{NODE}").body
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        conditions = {one["type"]: one["status"] for one in node["status"].get("conditions", ())}
        return conditions.get("Ready") == "True"

    def _keep_logs(self) -> None:
        RECORD.mkdir(parents=True, exist_ok=True)
        for log in self._control.folder.glob("*.log"):
            shutil.copyfile(log, RECORD / log.name)


def _all_programs(built: Path) -> Path:
    """One folder with those that we build and those that the system has."""
    folder = STATE / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        (folder / name).symlink_to(built / name)
    for name in ("containerd", "dockerd"):
        found = shutil.which(name)
        if found is None:
            raise DidNotStart(f"no {name} on the PATH")
        (folder / name).symlink_to(found)
    return folder


def _network() -> None:
    """An address of the node's own, which pods reach through their bridge."""
    for command in (
        "ip link add portico0 type bridge",
        f"ip addr add {ADDRESS}/32 dev portico0",
        "ip link set portico0 up",
        # A connection needs a route before kube-proxy can send it elsewhere.
        "ip route add default dev portico0",
        f"ip netns add {OUTSIDE}",
        f"ip link add outside0 type veth peer name eth0 netns {OUTSIDE}",
        "ip addr add 192.0.2.1/24 dev outside0",
        "ip link set outside0 up",
        f"ip -n {OUTSIDE} addr add 192.0.2.2/24 dev eth0",
        f"ip -n {OUTSIDE} link set eth0 up",
        f"ip -n {OUTSIDE} route add {ADDRESS} via 192.0.2.1",
    ):
        run(command.split())
    for setting in ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables"):
        Path("/proc/sys/net", setting).write_text("1")


def _answers_names() -> bool:
    with socket.create_connection((ADDRESS, 53), timeout=5):
        return True


def _write(file: Path, content: Any) -> Path:
    # JSON is YAML.
    file.write_text(json.dumps(content))
    return file
