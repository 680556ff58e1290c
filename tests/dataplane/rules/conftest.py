"""One engine for all rules: a row leaves nothing behind that another could see."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import Engine


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The real engine and its upstream."""
    with Engine() as engine:
        yield engine
