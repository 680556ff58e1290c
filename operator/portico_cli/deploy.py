"""`portico deploy`: the current state of an API as manifests that hold it for good.

Called by `main`. Writes the ControllerRevisions and the ApiDeployment that restores them: beside
other manifests they are a deployment for `portico dev`, applied to a cluster they are one there.
Promises: whoever deploys the same state twice writes the same text; a name that stands for
another state already is refused, because an ApiDeployment is immutable.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import yaml

from portico_cli import states
from portico_cli.files import Files
from portico_cli.render import Printer, count
from portico_cli.states import State
from portico_compiler import ObjectRef
from portico_compiler.manifests.kinds import OUR_VERSIONS
from portico_compiler.revisions import packing

STDOUT = "-"


class _Dumper(yaml.SafeDumper):
    """Never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def run(name: str, paths: Sequence[str], api: str | None, output: str) -> int:
    """Write the deployment and return the exit code."""
    printer = Printer(sys.stderr)
    state = states.current(paths, api, printer)
    if state is None:
        return 1
    namespace = states.named_namespace(Files(), paths, state.api)
    why = _taken_already(name, state)
    if why:
        printer.line(why, "red")
        return 1
    text = text_of(manifests(name, state, namespace))
    try:
        if output == STDOUT:
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            with open(output, "w", encoding="utf-8") as opened:
                opened.write(text)
    except OSError as error:
        printer.line(f"{output}: {error.strerror or error}", "red")
        return 1
    held = [count(state.captured.routes, "Route")]
    if state.captured.authorizers:
        held.append(count(state.captured.authorizers, "Authorizer"))
    place = "" if output == STDOUT else f", in {output}"
    digest = f"sha256:{state.captured.digest}"
    printer.line(f"{name}: {' and '.join(held)} of {state.api}, {digest}{place}", "green")
    return 0


def manifests(name: str, state: State, namespace: str) -> list[dict[str, Any]]:
    """The ControllerRevisions, then the ApiDeployment."""
    api, captured = state.api, state.captured
    revision = packing.revision_name(name, api.kind, api.name, captured.digest)
    origin = packing.Origin(
        packing.ApiOrigin(kind=api.kind, name=api.name), packing.DeploymentOrigin(name=name)
    )
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    reference = {"name": api.name}
    if api.kind != "RestApi":
        reference["kind"] = api.kind
    deployment = {
        "apiVersion": OUR_VERSIONS[0],
        "kind": "ApiDeployment",
        "metadata": metadata,
        "spec": {
            "apiRef": reference,
            "expectedDigest": f"sha256:{captured.digest}",
            "revisionRef": {"name": revision},
        },
    }
    return [*packing.pack(captured, revision, namespace, origin, None), deployment]


def text_of(documents: list[dict[str, Any]]) -> str:
    """The documents as YAML."""
    return yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _taken_already(name: str, state: State) -> str:
    """Why the name cannot stand for this state; empty when it can."""
    ref = ObjectRef("ApiDeployment", state.api.namespace, name)
    held = state.configuration.compiled.deployments.taken.get(ref)
    if held is None or held.head.digest == state.captured.digest:
        return ""
    return (
        f"{ref} already holds another state (sha256:{held.head.digest}): an ApiDeployment is "
        "immutable, so choose another name"
    )
