"""Who uses something is counted, and seen to be gone, without a word from anybody."""

from __future__ import annotations

import gc
from weakref import WeakValueDictionary

from portico_dataplane.core.holds import Stake, Token


class Counted:
    """Counts its users."""

    def __init__(self) -> None:
        self.holders = 0

    def let_go(self) -> None:
        self.holders -= 1


def test_a_stake_counts_as_long_as_it_is_there() -> None:
    held = Counted()
    stakes = [Stake(held), Stake(held)]
    assert held.holders == 2
    stakes.pop()
    gc.collect()
    assert held.holders == 1
    stakes.clear()
    gc.collect()
    assert held.holders == 0


def test_a_token_is_seen_as_long_as_somebody_has_it() -> None:
    seen: WeakValueDictionary[str, Token] = WeakValueDictionary()
    mine = seen["x"] = Token()
    gc.collect()
    assert seen.get("x") is mine
    del mine
    gc.collect()
    assert "x" not in seen
