"""Every field has words that `kubectl explain` can show."""

from __future__ import annotations

import pytest

from portico_compiler import validation
from portico_compiler.crds import docstrings
from portico_compiler.manifests.kinds import KINDS

OURS = sorted(kind.name for kind in KINDS.values() if kind.ours)


@pytest.mark.parametrize("kind", OURS)
def test_every_field_of_a_kind_says_what_it_is(kind: str) -> None:
    for struct, schema in validation.schema_of(kind)["$defs"].items():
        assert docstrings.of_struct(struct)
        for field in schema["properties"]:
            assert docstrings.of_field(struct, field), f"{struct}.{field}"


def test_fields_are_known_by_the_names_that_users_write() -> None:
    assert docstrings.of_field("AuthorizerSpec", "providerARNs").startswith("For COGNITO")
    assert docstrings.of_struct("Throttle") == "A token bucket (AWS §3.18)."
