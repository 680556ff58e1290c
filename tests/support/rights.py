"""Rights as roles give them, and requests as an API server saw them, in one form.

Used by tests of what the chart renders and by those that run an operator under exactly that.
`audited` makes a control plane that keeps an audit log, whose entries `requests` reads: who asked
for what, and whether RBAC let it through.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from control_plane import ControlPlane

Manifest = Mapping[str, Any]
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class Line(NamedTuple):
    """One right on one resource."""

    scope: str
    """cluster, served (the namespaces that are served) or own (the release's namespace)."""
    group: str
    resource: str
    verb: str
    names: tuple[str, ...] = ()

    def allows(self, request: Request, namespace: str) -> bool:
        """Whether this right lets the request through; `namespace` is the release's own."""
        scopes = {"cluster", request.namespace or "cluster"}
        if request.namespace == namespace:
            scopes.add("own")
        return (
            self.scope in scopes
            and (self.group, self.resource, self.verb)
            == (request.group, request.resource, request.verb)
            and (not self.names or request.name in self.names)
        )


class Request(NamedTuple):
    """One request that an API server saw."""

    user: str
    verb: str
    group: str
    resource: str
    """With its subresource: `routes/status`."""
    namespace: str
    name: str
    status: int
    """Of the answer."""


def lines_of(rules: Sequence[Mapping[str, Any]], scope: str) -> Iterator[Line]:
    for rule in rules:
        assert rule.keys() <= {"apiGroups", "resources", "verbs", "resourceNames"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield Line(scope, group, resource, verb, tuple(rule.get("resourceNames", ())))


def granted(manifests: Sequence[Manifest], namespace: str) -> dict[str, list[Line]]:
    """By account; "served" stands for the whole cluster where no namespaces are named."""
    roles = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one["rules"]
        for one in manifests
        if one["kind"] in {"ClusterRole", "Role"}
    }
    found: dict[str, list[Line]] = {}
    bound = set()
    for one in manifests:
        if one["kind"] not in {"ClusterRoleBinding", "RoleBinding"}:
            continue
        where = one["metadata"].get("namespace", "")
        role = one["roleRef"]
        of = (role["kind"], where if role["kind"] == "Role" else "", role["name"])
        bound.add(of)
        scope = "cluster" if one["kind"] == "ClusterRoleBinding" else where
        scope = "own" if scope == namespace else scope
        (subject,) = one["subjects"]
        assert subject["kind"] == "ServiceAccount"
        assert subject["namespace"] == namespace
        found.setdefault(subject["name"], []).extend(lines_of(roles[of], scope))
    assert bound == roles.keys(), "a role that nobody has"
    return found


@contextlib.contextmanager
def audited(binaries: Path, folder: Path) -> Iterator[tuple[ControlPlane, Path]]:
    """A control plane, and the file of its audit log."""
    policy, log = folder / "audit-policy.json", folder / "audit.log"
    policy.write_text(json.dumps(POLICY))
    flags = (
        f"--audit-policy-file={policy}",
        f"--audit-log-path={log}",
        "--audit-log-mode=blocking",
    )
    with ControlPlane(binaries, flags=flags) as running:
        yield running, log


def requests(log: Path, user: str) -> list[Request]:
    """What this user asked for so far; what is about no resource (discovery) is left out."""
    lines = log.read_text().splitlines() if log.exists() else []
    return list(_requests(lines, user))


def _requests(lines: Iterable[str], user: str) -> Iterator[Request]:
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # It is being written.
        about = entry.get("objectRef")
        if entry["user"].get("username") != user or not about:
            continue
        resource = about.get("resource", "")
        if "subresource" in about:
            resource += f"/{about['subresource']}"
        found = Request(
            user,
            entry["verb"],
            about.get("apiGroup", ""),
            resource,
            about.get("namespace", ""),
            about.get("name", ""),
            int((entry.get("responseStatus") or {}).get("code") or 0),
        )
        yield found
        if (found.verb, found.status) == ("patch", 201):
            # Applying what is not there takes the right to create, too, and is logged once.
            yield found._replace(verb="create")
