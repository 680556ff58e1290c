"""What CEL cannot see is said as value validations of the right places."""

from __future__ import annotations

import jsonschema_rs
import pytest

from crd_rows import GOOD, ROWS, Row
from portico_compiler.crds import unions
from portico_compiler.crds.schema import document

HIDDEN = [row for row in ROWS if row.hidden]
FREE = [(kind, spec) for kind, spec in GOOD if kind in ("Route", "Authorizer")]


def validator(kind: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(document(kind)["properties"]["spec"])


@pytest.mark.parametrize("row", HIDDEN, ids=lambda row: f"{row.twin}-{row.kind}")
def test_the_schema_alone_refuses(row: Row) -> None:
    spec = dict(row.spec)
    if row.kind == "Route":
        # As the API server fills it in before it validates.
        spec["integration"] = {"type": "HTTP_PROXY"} | spec["integration"]
    assert not validator(row.kind).is_valid(spec)


@pytest.mark.parametrize(("kind", "spec"), FREE)
def test_the_schema_takes_what_is_right(kind: str, spec: dict[str, object]) -> None:
    filled = dict(spec)
    if isinstance(spec.get("integration"), dict):
        filled["integration"] = {"type": "HTTP_PROXY"} | spec["integration"]  # type: ignore[operator]
    assert validator(kind).is_valid(filled)


def test_other_places_have_none() -> None:
    assert unions.of_struct("Cors") == {}
