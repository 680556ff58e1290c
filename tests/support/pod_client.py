"""A pod that calls the gateway, as another team's would: by the Service's name, or under load.

Called by the e2e tests. `PodClient.load` is a context: inside it requests go on all the time, and
at its end every one of them must have been answered. Promises: load has begun on every connection
when the block begins; what failed is in the assertion, with its time.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from bed import RECORD, VERSION, run
from installation import HOST, NAMESPACE, RELEASE, Installation

POD: Final = "client"
PLACE: Final = "clients"
GATEWAY: Final = f"http://{RELEASE}-dataplane.{NAMESPACE}.svc.cluster.local"
SCRIPT: Final = (Path(__file__).parent / "load_script.py").read_text()
CONNECTIONS: Final = 16
LONGEST_S: Final = 420
"""However long a step takes, load ends by itself."""
SMALL: Final = "/files/small?size=200"
MANIFEST: Final = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": POD, "namespace": PLACE},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": POD,
                "image": f"portico-petstore:{VERSION}",
                "command": ["python", "-c", "import signal; signal.pause()"],
                # What is starved of processors measures itself.
                "resources": {"requests": {"cpu": "250m"}},
            }
        ],
    },
}


@dataclass
class Report:
    """What became of the requests; filled when the load has ended."""

    answered: int = 0
    failures: list[str] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)


class PodClient:
    """One pod, for the whole run."""

    def __init__(self, installation: Installation) -> None:
        self._bed = installation.bed
        self._bed.kubectl("create", "namespace", PLACE)
        self._bed.kubectl("apply", "-f", "-", stdin=json.dumps(MANIFEST))
        ready = ("--for=condition=Ready", "--timeout=120s", f"--namespace={PLACE}")
        self._bed.kubectl("wait", f"pod/{POD}", *ready)

    def python(self, source: str, *arguments: str) -> str:
        """What a program prints that runs in the pod."""
        return run([*self._exec(), "python", "-c", source, *arguments]).stdout

    def in_its_network(self, *command: str) -> str:
        """What a program of the node prints that runs in the pod's network: curl, say."""
        status = self._bed.kubectl(
            *("get", "pod", POD, f"--namespace={PLACE}"),
            *("-o", "jsonpath={.status.containerStatuses[0].containerID}"),
        )
        process = process_of(
            self._bed.on_node("ctr", "-n", "k8s.io", "tasks", "ls").stdout, status.stdout
        )
        return self._bed.on_node("nsenter", f"--net=/proc/{process}/ns/net", *command).stdout

    @contextlib.contextmanager
    def load(self, what: str, path: str = SMALL, methods: str = "GET,POST") -> Iterator[Report]:
        """Requests all the time; at the end none of them may have failed."""
        report = Report()
        command = [*self._exec("-i"), "python", "-c", SCRIPT, f"{GATEWAY}{path}", HOST, methods]
        command += [str(CONNECTIONS), str(LONGEST_S)]
        with (
            self._logs_kept(what),
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            begun = process.stdout.readline()
            if begun.strip() != "begun":
                raise AssertionError(f"{what}: load did not begin: {begun}{_rest(process.stderr)}")
            try:
                yield report
            finally:
                process.stdin.close()
                said = process.stdout.read()
                problem = _rest(process.stderr)
        assert said, f"{what}: load broke off: {problem}"
        report.raw = json.loads(said.splitlines()[-1])
        report.answered = report.raw["answered"]
        report.failures = report.raw["failures"]
        _keep(what, report)
        assert report.raw["failed"] == 0, f"{what}: {json.dumps(report.raw, indent=1)}"

    @contextlib.contextmanager
    def _logs_kept(self, what: str) -> Iterator[None]:
        """What our pods of now write meanwhile: of those that end, nobody could ask afterwards."""
        file = RECORD / f"during {what}.log".replace("/", " ")
        file.parent.mkdir(parents=True, exist_ok=True)
        chosen = f"--selector=app.kubernetes.io/instance={RELEASE}"
        follow = ("--follow", "--since=1s", "--prefix", "--ignore-errors", "--max-log-requests=20")
        command = self._bed.kubectl_command("logs", *follow, chosen, f"--namespace={NAMESPACE}")
        with open(file, "w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield
            finally:
                process.terminate()

    def _exec(self, *flags: str) -> list[str]:
        return self._bed.kubectl_command("exec", *flags, f"--namespace={PLACE}", POD, "--")


def process_of(tasks: str, container: str) -> int:
    """Process of a container, from what `ctr tasks ls` prints."""
    wanted = container.rpartition("/")[2]
    for line in tasks.splitlines():
        words = line.split()
        if words[0] == wanted:
            return int(words[1])
    raise AssertionError(f"no task {wanted} in {tasks}")


def _keep(what: str, report: Report) -> None:
    RECORD.mkdir(parents=True, exist_ok=True)
    numbers = {key: value for key, value in report.raw.items() if key != "failures"}
    line = f"{what}: {json.dumps(numbers)}"
    print(line, flush=True)
    with open(RECORD / "load.txt", "a") as file:
        file.write(line + "\n")


def _rest(stream: IO[str] | None) -> str:
    return stream.read() if stream else ""
