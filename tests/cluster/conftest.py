"""What tests against a real API server share: one control plane a run, a namespace each."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane import ControlPlane, Missing, programs
from slice_backends import service_range

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them need it, so in CI none of them may be skipped (tests/conftest.py)."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """etcd and kube-apiserver for the whole run, without our kinds; nobody may stop them."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(message: str) -> None:
        with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
            print(f"\n{message}", flush=True)

    try:
        folder = programs(building=say)
    except Missing as why:
        pytest.skip(str(why))
    with ControlPlane(folder) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """The same control plane, with our kinds installed from crds/."""
    control_plane.install_crds()
    return control_plane


@pytest.fixture(scope="session")
def breakable(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """Another one, with our kinds, that fault tests stop and start; each leaves it running."""
    ours = f"--service-cluster-ip-range={service_range()}"
    with ControlPlane(control_plane.binaries, flags=(ours,)) as running:
        running.install_crds()
        yield running


@pytest.fixture
def fresh_namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace of its own for a test; cleared and removed afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    control_plane.api.create_namespace(name)
    yield name
    control_plane.api.remove_namespace(name)
