"""How many descriptors this process may have, and how many of them clients get.

Called by a worker as it begins, and by `portico dev`. Promises: a process takes what the system
allows, which is often a thousandfold of what it is started with; clients get three quarters of
it, because a gateway that has none left for its backends answers nobody.
"""

from __future__ import annotations

import dataclasses
import logging
import resource

from portico_dataplane.settings import Settings

_log = logging.getLogger(__name__)


def most() -> int:
    """Raises the limit as far as it goes; descriptors there may be now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            pass  # a system that says there is no limit, and has one
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 30


def fitting(settings: Settings) -> Settings:
    """The same, with no more client connections than there are descriptors for."""
    allowed = most()
    room = max(1, allowed * 3 // 4)
    if settings.max_connections <= room:
        return settings
    _log.warning(
        "fewer client connections than --max-connections: the system allows no more descriptors",
        extra={"descriptors": allowed, "wanted": settings.max_connections, "connections": room},
    )
    return dataclasses.replace(settings, max_connections=room)
