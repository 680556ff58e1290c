"""Label selectors, as Kubernetes reads them.

Used wherever a manifest chooses namespaces by their labels. Promises: what metav1.LabelSelector
says: every part must hold, an empty selector chooses everything, a label that is absent is In
nothing and NotIn anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from portico_compiler.manifests.shapes import LabelSelector, LabelSelectorRequirement


def chooses(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is meant."""
    exact = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return exact and all(_holds(wanted, labels) for wanted in selector.match_expressions)


def _holds(wanted: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(wanted.key)
    match wanted.operator:
        case "In":
            return value is not None and value in wanted.values
        case "NotIn":
            return value is None or value not in wanted.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            assert_never(wanted.operator)
