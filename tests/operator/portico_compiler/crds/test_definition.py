"""The CRDs as a whole, and that crds/ holds what the generator gives now."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kubernetes_api import OURS
from portico_compiler.crds import definition
from portico_compiler.manifests.kinds import KINDS, Kind

CRDS = Path(__file__).resolve().parents[4] / "crds"
KINDS_OF_OURS = [kind for kind in KINDS.values() if kind.ours]


def test_the_files_are_what_the_generator_gives() -> None:
    on_disk = {file.name: file.read_text() for file in CRDS.iterdir()}
    assert on_disk == definition.files(), "run: make crds"


def test_every_kind_has_a_file() -> None:
    assert set(definition.NAMES) == {kind.name for kind in KINDS_OF_OURS}
    assert {name: naming.plural for name, naming in definition.NAMES.items()} == OURS
    assert len(definition.files()) == 13


def test_short_names_are_their_own() -> None:
    names = [naming.short for naming in definition.NAMES.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", KINDS_OF_OURS, ids=lambda kind: kind.name)
def test_every_kind_is_shown_alike(kind: Kind) -> None:
    crd = definition.definition(kind)
    assert crd["spec"]["names"]["categories"] == ["portico"]
    (version,) = crd["spec"]["versions"]
    columns = [column["name"] for column in version["additionalPrinterColumns"]]
    assert columns[-3:] == ["Ready", "Reason", "Age"]
    conditions = definition.status(kind)["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert version["subresources"] == {"status": {}}


def test_only_the_class_is_cluster_scoped() -> None:
    scopes = {kind.name: definition.definition(kind)["spec"]["scope"] for kind in KINDS_OF_OURS}
    assert [name for name, scope in scopes.items() if scope == "Cluster"] == ["PorticoClass"]


def test_the_text_is_the_document() -> None:
    texts = definition.files()
    for kind in KINDS_OF_OURS:
        name = f"portico.dev_{definition.NAMES[kind.name].plural}.yaml"
        assert yaml.load(texts[name], yaml.CSafeLoader) == definition.definition(kind)
