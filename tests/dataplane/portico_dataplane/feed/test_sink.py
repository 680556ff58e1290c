"""The supervisor is what the feed needs."""

from __future__ import annotations

import inspect

from portico_dataplane.feed.sink import Sink
from portico_dataplane.workers.supervisor import Supervisor


def as_sink(supervisor: Supervisor) -> Sink:
    """Checked by mypy: what a supervisor returns and takes fits."""
    return supervisor


def test_the_supervisor_has_all_of_it() -> None:
    for name in ("apply", "set_endpoints", "set_fallback"):
        wanted = inspect.signature(getattr(Sink, name)).parameters
        assert inspect.signature(getattr(Supervisor, name)).parameters.keys() == wanted.keys()
