"""`--rewrite-golden`: write what the compiler gives instead of comparing with it."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known when tests/golden is named on the command line."""
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        default=False,
        help="write case.snapshot.yaml and case.status.yaml as they come out now",
    )


@pytest.fixture
def rewrite_golden(request: pytest.FixtureRequest) -> bool:
    """Whether to write instead of comparing."""
    return bool(request.config.getoption("--rewrite-golden", default=False))
