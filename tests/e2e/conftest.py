"""What the e2e tests share: a cluster, the chart installed in it, the example, and a client pod.

They tell one story in the order of STORY: each step finds what the one before left, and there is
one cluster a run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bed import RECORD, Bed, keep_evidence
from control_plane import DidNotStart, Missing
from helm import HelmFailed
from installation import Installation
from kind_cluster import KindCluster
from pod_client import PodClient
from real_node import RealNode

HERE = Path(__file__).parent
STORY = (
    "test_install.py",
    "test_status.py",
    "test_traffic.py",
    "test_rollouts.py",
    "test_without_operators.py",
    "test_uninstall.py",
)
BEDS = {"node": RealNode, "kind": KindCluster}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of the story; in CI none of them may be skipped (tests/conftest.py)."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.e2e)
    ours.sort(key=lambda item: STORY.index(item.path.name))
    items[:] = [item for item in items if item not in ours] + ours


@contextmanager
def ends_the_run() -> Iterator[None]:
    """Without this nothing can be tested: the reason is said once."""
    try:
        yield
    except (AssertionError, DidNotStart, HelmFailed, Missing) as why:
        pytest.exit(f"{why}\nSee build/e2e for what every part wrote.", 1)


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """A cluster with our images."""
    wanted = os.environ.get("PORTICO_E2E", "")
    if wanted not in BEDS:
        pytest.skip("run by `make e2e` (Linux, root) and by `make kind` (docker, kind)")
    shutil.rmtree(RECORD, ignore_errors=True)
    with ExitStack() as stack:
        with ends_the_run():
            ready = stack.enter_context(BEDS[wanted]())
        yield ready
        keep_evidence(ready)


@pytest.fixture(scope="session")
def installation(bed: Bed) -> Installation:
    """The chart, installed and ready; the last step of the story removes it."""
    made = Installation(bed, HERE / "values.yaml")
    with ends_the_run():
        made.install()
    return made


@pytest.fixture(scope="session")
def petstore(installation: Installation) -> Installation:
    """The example beside it, programmed."""
    with ends_the_run():
        installation.apply_example()
    return installation


@pytest.fixture(scope="session")
def client(petstore: Installation) -> PodClient:
    """A pod that calls the gateway as any other would."""
    return PodClient(petstore)
