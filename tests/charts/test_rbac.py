"""Who may do what: every line of every role, and what needs it.

A line that is rendered and not in this table fails, and so does one that is only in the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from helm import Release
from portico_operator.cluster.resources import CORE, GRANTS, OURS

Manifest = dict[str, Any]
Render = Callable[[Release], list[Manifest]]


class Line(NamedTuple):
    """One right on one resource."""

    scope: str
    """cluster, served (the namespaces that are served) or own (the release's namespace)."""
    group: str
    resource: str
    verb: str
    names: tuple[str, ...] = ()


READ = ("get", "list", "watch")
PLURALS = sorted(r.plural for r in OURS.values() if r.namespaced)
TABLE = """
served  portico.dev KIND                             read         own list, kopf's watch
served  portico.dev KIND/status                      patch        the leader applies status
served  core services                                read         ports and ClusterIPs of targets
served  discovery.k8s.io endpointslices              read         addresses of targets
served  core secrets                                 read         those that are referred to
served  gateway.networking.k8s.io referencegrants    read         what a reference may cross
served  apps controllerrevisions                     read         deployments
served  apps controllerrevisions                     create       the leader takes a deployment
served  apps controllerrevisions                     delete       and removes what nobody names
served  events.k8s.io events                         create       the leader names a lost address
cluster portico.dev porticoclasses                   read         own list, kopf's watch
cluster portico.dev porticoclasses/status            patch        the leader applies status
cluster apiextensions.k8s.io customresourcedefinitions read       is a kind served, and the same
cluster core namespaces                              list,watch   labels: allowedDomains
cluster authentication.k8s.io tokenreviews           create       who a data-plane pod is
own     coordination.k8s.io leases                   create       the first one; has no name yet
own     coordination.k8s.io leases=portico-operator  get,patch    election
own     core secrets=portico-ca                      get,patch    the stream's CA
own     core configmaps=portico-ca-bundle            get,patch    what pods trust
"""
"""Every line, and its reason; KIND is each of ours that has a namespace."""
WITH_KEYS = "served  core secrets  create  values of ApiKeys whose Secret is not there"
WITH_NAMESPACES = "own  discovery.k8s.io endpointslices  read  live pods of the data plane"


def expected(*more: str) -> set[Line]:
    """The table, one verb a line."""
    lines: set[Line] = set()
    for row in (*TABLE.strip().splitlines(), *more):
        scope, group, resource, verbs, reason = row.split(maxsplit=4)
        assert reason
        resource, _, name = resource.partition("=")
        for verb in READ if verbs == "read" else verbs.split(","):
            for plural in PLURALS if "KIND" in resource else [""]:
                lines.add(
                    Line(
                        scope,
                        "" if group == "core" else group,
                        resource.replace("KIND", plural),
                        verb,
                        (name,) if name else (),
                    )
                )
    return lines


def lines_of(rules: list[dict[str, Any]], scope: str) -> Iterator[Line]:
    for rule in rules:
        assert rule.keys() <= {"apiGroups", "resources", "verbs", "resourceNames"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield Line(scope, group, resource, verb, tuple(rule.get("resourceNames", ())))


def granted(manifests: list[Manifest], namespace: str) -> dict[str, list[Line]]:
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


def everywhere(lines: set[Line]) -> set[Line]:
    """Without watchNamespaces, the served namespaces are the cluster."""
    return {line._replace(scope="cluster") if line.scope == "served" else line for line in lines}


@pytest.mark.parametrize("generates", [False, True])
def test_the_operator_may_do_what_it_does_and_no_more(generates: bool, render: Render) -> None:
    sets = (f"operator.apiKeyGeneration={str(generates).lower()}",)
    found = granted(render(Release(sets=sets)), "portico-system")
    lines = found["portico-operator"]
    assert len(lines) == len(set(lines)), "a right that is given twice"
    assert set(lines) == everywhere(expected(*([WITH_KEYS] if generates else [])))


def test_with_namespaces_it_may_do_so_there_only(render: Render) -> None:
    release = Release(sets=("watchNamespaces={shop,warehouse}",))
    lines = granted(render(release), "portico-system")["portico-operator"]
    table = expected(WITH_NAMESPACES)
    for namespace in ("shop", "warehouse"):
        there = {line for line in lines if line.scope == namespace}
        assert there == {line._replace(scope=namespace) for line in table if line.scope == "served"}
    rest = {line for line in lines if line.scope not in {"shop", "warehouse"}}
    named = {
        line._replace(names=("shop", "warehouse")) if line.resource == "namespaces" else line
        for line in table
        if line.scope != "served"
    }
    assert rest == named
    # Above all: no Secret of the cluster.
    assert not [line for line in rest if line.scope == "cluster" and line.resource == "secrets"]


def test_a_release_may_serve_its_own_namespace(render: Render) -> None:
    """Two Roles there, of different names."""
    rendered = render(Release(sets=("watchNamespaces={portico-system}",)))
    roles = [one["metadata"]["name"] for one in rendered if one["kind"] == "Role"]
    assert len(roles) == len(set(roles)) == 2


def test_the_data_plane_may_do_nothing(rendered: list[Manifest]) -> None:
    (namespace,) = {
        one["metadata"]["namespace"] for one in rendered if one["kind"] == "ServiceAccount"
    }
    accounts = {one["metadata"]["name"] for one in rendered if one["kind"] == "ServiceAccount"}
    operators = [name for name in accounts if name.endswith(("-operator", "-class"))]
    assert len(operators) in (1, 2)
    assert granted(rendered, namespace).keys() == set(operators)


def test_the_class_s_job_may_apply_this_class(render: Render) -> None:
    lines = granted(render(Release()), "portico-system")["portico-class"]
    assert set(lines) == {
        Line("cluster", "portico.dev", "porticoclasses", verb, ("portico",))
        for verb in ("get", "create", "patch")
    }


def test_nothing_is_given_by_a_wildcard(rendered: list[Manifest]) -> None:
    for one in rendered:
        for rule in one.get("rules", ()) if one["kind"] in {"Role", "ClusterRole"} else ():
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_every_kind_that_is_read_may_be_read() -> None:
    """From the operator's own tables, so that a new kind is not forgotten here."""
    lines = everywhere(expected())
    for resource in (*OURS.values(), *CORE.values(), *GRANTS):
        for verb in ("list", "watch"):
            assert Line("cluster", resource.group, resource.plural, verb) in lines
    for resource in OURS.values():
        assert Line("cluster", "portico.dev", f"{resource.plural}/status", "patch") in lines
