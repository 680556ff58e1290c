"""`make soak` runs, and a moment of its load is answered as it should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from soak.clients import KINDS
from soak_run import measure


def test_a_moment_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measure(0.05, tmp_path)
    said = capsys.readouterr().out
    assert "unexpected: 0 answers, 0 log lines, 0 dead workers" in said
    assert all(f"  {name}: " in said for name, _, _ in KINDS)
