"""values.schema.json: takes what the chart reads, and refuses what it would pass over."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

import helm
from helm import CHART, VALUES, HelmFailed, Release

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)
FREE = frozenset(
    {
        "commonLabels",
        "annotations",
        "labels",
        "podAnnotations",
        "podLabels",
        "nodeSelector",
        "affinity",
        "behavior",
        "requests",
        "limits",
        "metricsFrom",
    }
)
"""What belongs to Kubernetes or to the user below these."""


def paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every object of the values that is the chart's own."""
    if isinstance(value, dict) and not FREE.intersection(path):
        yield path
        for key, inner in value.items():
            yield from paths(inner, (*path, key))


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict) and value and not FREE.intersection(path):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


def at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def merged(base: Any, over: Any) -> Any:
    """As helm merges a values file into the defaults."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {key: merged(base.get(key), over[key]) if key in over else base[key] for key in base} | {
        key: over[key] for key in over if key not in base
    }


def test_the_defaults_are_taken() -> None:
    assert VALIDATOR.is_valid(DEFAULTS)


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.stem)
def test_the_tests_values_are_taken(values: Path) -> None:
    assert VALIDATOR.is_valid(merged(DEFAULTS, yaml.safe_load(values.read_text())))


@pytest.mark.parametrize("path", list(paths(DEFAULTS)), ids=lambda path: ".".join(path) or "top")
def test_a_misspelt_value_is_refused_wherever_it_stands(path: tuple[str, ...]) -> None:
    values = copy.deepcopy(DEFAULTS)
    at(values, path)["mispelt"] = 1
    assert not VALIDATOR.is_valid(values)


@pytest.mark.parametrize("path", list(leaves(DEFAULTS)), ids=".".join)
def test_a_value_of_another_type_is_refused(path: tuple[str, ...]) -> None:
    values = copy.deepcopy(DEFAULTS)
    *above, last = path
    kept = at(values, (*above, last))
    at(values, tuple(above))[last] = [{}] if not isinstance(kept, list) else {"a": 1}
    assert not VALIDATOR.is_valid(values)


def test_every_property_of_the_schema_has_a_default() -> None:
    """What values.yaml does not show, nobody finds."""

    def properties(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
        if "$ref" in schema:
            schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]]
        for name, inner in schema.get("properties", {}).items():
            yield (*path, name)
            yield from properties(inner, (*path, name))

    hidden = {"global", "class.spec.", ".resources.", ".extraEnv."}
    missing = []
    for path in properties(SCHEMA):
        dotted = ".".join(path)
        if dotted in hidden or any(part in f"{dotted}." for part in hidden if part != "global"):
            if dotted.endswith(("spec", "resources", "extraEnv")):
                assert at(DEFAULTS, path) is not None
            continue
        try:
            at(DEFAULTS, path)
        except (KeyError, TypeError):
            missing.append(dotted)
    assert missing == []


def test_every_value_is_read_by_a_template() -> None:
    """A value that nothing reads is a promise that nothing keeps."""
    templates = "\n".join(
        path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()
    )
    whole = {"resources", "podSecurityContext", "spec"}  # handed on as they are
    read = {
        path: next((key for key in path if key in whole | FREE), path[-1])
        for path in leaves(DEFAULTS)
    }
    unread = [path for path, name in read.items() if not re.search(rf"\.{name}\b", templates)]
    assert unread == []


@pytest.mark.parametrize(
    "wrong",
    [
        "dataPlane.replicass=3",
        "dataplane.replicas=3",
        "dataPlane.kind=StatefulSet",
        "dataPlane.workers=0",
        "dataPlane.ports.traffic=80",
        "operator.replicas=0",
        "operator.logLevel=verbose",
        "operator.podSecurityContext.runAsUser=0",
        "operator.podSecurityContext.privileged=true",
        "operator.image.digest=abc",
        "baseDomain=https://apis.example.com",
        "baseDomain=*.example.com",
        "watchNamespaces={Shop}",
        "image.pullPolicy=Sometimes",
        "metrics.serviceMonitor.interval=15",
        "metrics.prometheusRule.errorRatio=2",
        "class.spec.baseDomain=example.com",
        "dataPlane.drain.seconds=-1",
        "dataPlane.service.type=ExternalName",
        "crds.instal=false",
        "dataPlanes.internal.replicass=1",
        "dataPlanes.internal.class.defualt=true",
        "dataPlanes.internal.drain.seconds=-1",
        "dataPlanes.operator.replicas=1",
        "dataPlanes.a-b.replicas=1",
        "dataPlanes.averyveryverylongname.replicas=1",
        "class.name=Public",
    ],
)
def test_helm_refuses_it(wrong: str, helm_home: Path) -> None:
    with pytest.raises(HelmFailed, match="values don't meet the specifications of the schema"):
        helm.render(Release(sets=(wrong,)), helm_home)
