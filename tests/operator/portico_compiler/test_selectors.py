"""Label selectors, case by case as metav1.LabelSelector is documented."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from portico_compiler.manifests.shapes import LabelSelector
from portico_compiler.selectors import chooses

LABELS = {"team": "shop", "tier": "", "kubernetes.io/metadata.name": "shop-prod"}


def requires(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": {"team": "shop"}}, True),
        ({"matchLabels": {"team": "pets"}}, False),
        ({"matchLabels": {"team": "shop", "absent": "x"}}, False),
        ({"matchLabels": {"tier": ""}}, True),
        ({"matchLabels": {"absent": ""}}, False),
        (requires("team", "In", "pets", "shop"), True),
        (requires("team", "In", "pets"), False),
        (requires("absent", "In", "x"), False),
        (requires("team", "NotIn", "pets"), True),
        (requires("team", "NotIn", "shop"), False),
        (requires("absent", "NotIn", "x"), True),
        (requires("team", "Exists"), True),
        (requires("tier", "Exists"), True),
        (requires("absent", "Exists"), False),
        (requires("absent", "DoesNotExist"), True),
        (requires("tier", "DoesNotExist"), False),
        ({"matchLabels": {"team": "shop"}, **requires("tier", "Exists")}, True),
        ({"matchLabels": {"team": "pets"}, **requires("tier", "Exists")}, False),
        ({"matchLabels": {"team": "shop"}, **requires("tier", "DoesNotExist")}, False),
    ],
)
def test_chooses(selector: dict[str, Any], expected: bool) -> None:
    assert chooses(msgspec.convert(selector, LabelSelector), LABELS) is expected


def test_an_empty_selector_chooses_what_has_no_labels() -> None:
    assert chooses(LabelSelector(), {})
