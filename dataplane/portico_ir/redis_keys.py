"""How counters and usage lie in a Redis: keys, for pods, which count, and the operator, which
reports.

All of one class share a hash tag, so that one script may settle them at once in a Redis Cluster.
Promises: names of keys hold no secret: counters are named by ids.
"""

from __future__ import annotations

from typing import Final

from portico_ir.usage import KEPT_DAYS

USAGE_SECONDS: Final = (KEPT_DAYS + 1) * 86_400
"""How long usage of a day is kept."""


class RedisKeys:
    """Keys of one class."""

    def __init__(self, name: str) -> None:
        self._tag = f"{{portico:{name}}}"
        self.holders = f"{self._tag}:holders"
        """Pods, and what was last heard of them."""

        self.declared = f"{self._tag}:declared"
        """Hash of plan/key to what of its extension the plan itself declares."""

    def counter(self, known_as: str) -> str:
        """A bucket, or a quota in its present period."""
        return f"{self._tag}:counter:{known_as}"

    def extension(self, plan: str, key: str) -> str:
        """What a key may do beyond its quota in one period."""
        return f"{self._tag}:extension:{plan}/{key}"

    def usage(self, plan: str, day: int | str) -> str:
        """Hash of key id to requests on one day."""
        return f"{self._tag}:usage:{plan}:{day}"
