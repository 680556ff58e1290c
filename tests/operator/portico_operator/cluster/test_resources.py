"""The table of kinds: paths, and the same plurals as the CRDs."""

from __future__ import annotations

from pathlib import Path

import yaml

from portico_compiler.manifests.kinds import KINDS
from portico_operator.cluster.resources import CORE, OURS

CRDS = Path(__file__).resolve().parents[4] / "crds"


def test_every_kind_of_ours_is_there() -> None:
    assert set(OURS) == {kind for kind, known in KINDS.items() if known.ours}


def test_plurals_and_scopes_are_those_of_the_definitions() -> None:
    found = {}
    for file in CRDS.glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        found[spec["names"]["kind"]] = (spec["names"]["plural"], spec["scope"] == "Namespaced")
    assert found == {kind: (r.plural, r.namespaced) for kind, r in OURS.items()}


def test_paths() -> None:
    assert CORE["Service"].path("n", "s") == "/api/v1/namespaces/n/services/s"
    assert OURS["Route"].path() == "/apis/portico.dev/v1alpha1/routes"
    assert (
        OURS["Route"].path("n", "r", "status")
        == "/apis/portico.dev/v1alpha1/namespaces/n/routes/r/status"
    )


def test_scopes() -> None:
    assert CORE["Service"].scope("n") == ("/api/v1/namespaces/n/services", {})
    assert CORE["Service"].scope("") == ("/api/v1/services", {})
    revisions = CORE["ControllerRevision"].scope("n")
    assert revisions[1] == {"labelSelector": CORE["ControllerRevision"].selector}
    assert OURS["PorticoClass"].scope("n") == (OURS["PorticoClass"].path(), {})


def test_one_namespace_is_asked_for_by_its_name() -> None:
    """RBAC lets a list or watch through that is limited to a name it grants, and no other."""
    assert CORE["Namespace"].scope("") == ("/api/v1/namespaces", {})
    assert CORE["Namespace"].scope("n") == (
        "/api/v1/namespaces",
        {"fieldSelector": "metadata.name=n"},
    )
