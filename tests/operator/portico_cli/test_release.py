"""The version is the installed one; a tree without one still answers."""

from __future__ import annotations

from importlib import metadata

import pytest

from portico_cli import release


def test_the_version_is_the_distribution_s() -> None:
    assert release.version() == metadata.version("portico")


def test_a_tree_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert release.version() == "unknown"
