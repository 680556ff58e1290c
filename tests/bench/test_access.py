"""The rows of `make bench-access` can be measured, so that they cannot rot between runs."""

from __future__ import annotations

import pytest

from access import authorizers, signatures, stretches, tokens


@pytest.mark.parametrize("group", [authorizers, signatures, tokens])
def test_every_row_is_a_number(group: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "STRETCHES", 1)
    monkeypatch.setattr(stretches, "STRETCH_S", 0.0)
    rows: list[stretches.Row] = group.rows()  # type: ignore[attr-defined]
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.value > 0 for row in rows)
    assert any(row.goal for row in rows)
