"""corsConfiguration becomes the policy (AWS §4.7)."""

from __future__ import annotations

import pytest

from portico_compiler.features.cors import cors
from portico_compiler.manifests import shapes
from portico_ir.policies import Cors


def test_none_is_none() -> None:
    assert cors(None) is None


def test_everything() -> None:
    given = shapes.Cors(
        allow_origins=("https://A.example", "https://*"),
        allow_methods=("get", "*"),
        allow_headers=("X-a",),
        expose_headers=("*",),
        max_age=60,
        allow_credentials=True,
    )
    assert cors(given) == Cors(
        allow_origins=("https://A.example", "https://*"),
        allow_methods=("GET", "*"),
        allow_headers=("X-a",),
        expose_headers=("*",),
        max_age=60,
        allow_credentials=True,
    )


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(None, None), (-1, -1), (0, 0), ("10m", 600), ("1500ms", 2), ("24h", 86400)],
)
def test_ages(given: int | str | None, seconds: int | None) -> None:
    found = cors(shapes.Cors(max_age=given))
    assert found is not None
    assert found.max_age == seconds
