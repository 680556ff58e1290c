"""A broker by itself: what workers say to it, and what a store answers, word for word.

For the tests of core/broker.py and core/line.py.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from portico_dataplane.core.broker import Broker
from portico_dataplane.core.line import Answer
from portico_ir.leases import Ask, Exchange, Grant, Requests, Settlement, Tokens

UNIX_MS: Final = 1_795_435_200_000.0
TODAY: Final = 20_780
BUCKET: Final = Tokens(100, 50)
QUOTA: Final = Requests("p", "k", 1000)
FREE: Final = Requests("p", "k")


class Pod:
    """A broker, and what is said to it."""

    def __init__(self, workers: int = 2, *, keeps: bool = True) -> None:
        self.now = 0.0
        self.broker = Broker("pod", workers, unix_ms=UNIX_MS, keeps=keeps)

    def ask(self, worker: str = "0", known_as: str = "b", **said: object) -> list[Answer]:
        asked = replace(Ask(known_as, BUCKET), **said)
        return self.broker.asked(worker, [asked], self.now)

    def exchange(self, after: float = 0.0) -> Exchange:
        self.now += after
        found = self.broker.exchange(self.now)
        assert found is not None
        return found

    def nothing(self, after: float = 0.0) -> bool:
        self.now += after
        return self.broker.exchange(self.now) is None

    def settle(self, *grants: Grant, known: int | None = None, durable: int = 0) -> list[Answer]:
        sent = self.broker.outstanding
        assert sent is not None
        return self.broker.settled(
            Settlement(
                serial=sent.serial,
                known=sent.serial - 1 if known is None else known,
                durable=durable,
                now_ms=UNIX_MS + self.now,
                leaves=6,
                grants=grants,
            ),
            self.now,
        )


def first(pod: Pod, **granted: object) -> list[Answer]:
    """A first request waits, and the store grants this."""
    assert pod.ask(want=8.0, waiting=1) == []
    pod.exchange()
    return pod.settle(Grant("b", **granted))  # type: ignore[arg-type]
