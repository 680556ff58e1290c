"""What tests of the chart share: a helm, and the chart rendered once for each values file.

helm is built from its Go module, as the control plane is, so these tests carry the same mark.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import helm
from helm import HelmMissing, Release

HERE = Path(__file__).parent
NEEDS_HELM = frozenset({"rendered", "render", "helm_home"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In CI a test that needs helm may not be skipped (tests/conftest.py)."""
    for item in items:
        if HERE in item.path.parents and NEEDS_HELM.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def helm_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for helm's own files; there is a helm when a test gets it."""
    try:
        helm.binary()
    except HelmMissing as why:
        pytest.skip(str(why))
    return tmp_path_factory.mktemp("helm")


Render = Callable[[Release], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def render(helm_home: Path) -> Render:
    """The manifests of a release; one that was rendered before is not rendered again."""
    known: dict[Release, list[dict[str, Any]]] = {}

    def rendered(release: Release) -> list[dict[str, Any]]:
        if release not in known:
            known[release] = helm.documents(helm.render(release, helm_home))
        return known[release]

    return rendered


@pytest.fixture(params=helm.VALUES, ids=lambda path: path.stem)
def rendered(request: pytest.FixtureRequest, render: Render) -> list[dict[str, Any]]:
    """The manifests with each of the values files."""
    return render(Release(values=(request.param,)))
