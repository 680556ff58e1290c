"""Who may do what: every line of every role, and what needs it.

A line that is rendered and not in this table fails, and so does one that is only in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from helm import Release
from portico_operator.cluster.resources import CORE, GRANTS, OURS
from rights import Line, granted

Manifest = dict[str, Any]
Render = Callable[[Release], list[Manifest]]


PLURALS = sorted(r.plural for r in OURS.values() if r.namespaced)
TABLE = """
served  portico.dev KIND                             list,watch   own list, kopf's watch
served  portico.dev KIND                             get          what a watch missed
served  portico.dev KIND/status                      patch        the leader applies status
served  core services                                list,watch   ports and ClusterIPs of targets
served  discovery.k8s.io endpointslices              list,watch   addresses of targets
served  core secrets                                 list,watch   those that are referred to
served  core secrets                                 get          once they are, what was dropped
served  core configmaps                              list,watch   truststores of domains
served  core configmaps                              get          once they are, what was dropped
served  gateway.networking.k8s.io referencegrants    list,watch   what a reference may cross
served  apps controllerrevisions                     list,watch   deployments
served  apps controllerrevisions                     get          what a leader left half done
served  apps controllerrevisions                     create       the leader takes a deployment
served  apps controllerrevisions                     delete       and removes what nobody names
served  events.k8s.io events                         create       the leader names a lost address
cluster portico.dev porticoclasses                   list,watch   own list, kopf's watch
cluster portico.dev porticoclasses                   get          what a watch missed
cluster portico.dev porticoclasses/status            patch        the leader applies status
cluster apiextensions.k8s.io customresourcedefinitions=OURS get  is a kind served, and the same
cluster core namespaces                              list,watch   labels: allowedDomains
cluster authentication.k8s.io tokenreviews           create       who a data-plane pod is
own     coordination.k8s.io leases                   create       the first one; has no name yet
own     coordination.k8s.io leases=portico-operator  get,patch    election
own     core secrets=portico-ca                      get,patch    the stream's CA
own     core configmaps=portico-ca-bundle            get,patch    what pods trust
own     core configmaps                              create,patch the leader saves usage, by day
own     core configmaps                              list         what the leader before saved
own     core configmaps                              deletecollection  days nobody may ask for
"""
"""Every line, and its reason; KIND is each of ours that has a namespace, OURS the names of all our
definitions. tests/cluster/test_rights.py sees on a real API server that each is used."""
WITH_NAMESPACES = "own  discovery.k8s.io endpointslices  list,watch  live pods of the data plane"


GENERATES = "operator.apiKeyGeneration=true"
WITH_KEYS = "served  core secrets  create  those of API keys that a class has generated"


def expected(*more: str) -> set[Line]:
    """The table, one verb a line."""
    lines: set[Line] = set()
    for row in (*TABLE.strip().splitlines(), *more):
        scope, group, resource, verbs, reason = row.split(maxsplit=4)
        assert reason
        resource, _, name = resource.partition("=")
        names: tuple[str, ...] = (name,) if name else ()
        if name == "OURS":
            names = tuple(sorted(f"{found.plural}.{found.group}" for found in OURS.values()))
        for verb in verbs.split(","):
            for plural in PLURALS if "KIND" in resource else [""]:
                lines.add(
                    Line(
                        scope,
                        "" if group == "core" else group,
                        resource.replace("KIND", plural),
                        verb,
                        names,
                    )
                )
    return lines


def everywhere(lines: set[Line]) -> set[Line]:
    """Without watchNamespaces, the served namespaces are the cluster."""
    return {line._replace(scope="cluster") if line.scope == "served" else line for line in lines}


def test_the_operator_may_do_what_it_does_and_no_more(render: Render) -> None:
    found = granted(render(Release()), "portico-system")
    lines = found["portico-operator"]
    assert len(lines) == len(set(lines)), "a right that is given twice"
    assert set(lines) == everywhere(expected())


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


def test_it_may_make_secrets_only_where_the_chart_says_so(render: Render) -> None:
    """And then in the namespaces that it serves, and in no other."""
    lines = granted(render(Release(sets=(GENERATES,))), "portico-system")["portico-operator"]
    assert set(lines) == everywhere(expected(WITH_KEYS))
    release = Release(sets=(GENERATES, "watchNamespaces={shop}"))
    lines = granted(render(release), "portico-system")["portico-operator"]
    making = {line.scope for line in lines if (line.resource, line.verb) == ("secrets", "create")}
    assert making == {"shop"}


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
