"""The store of file mode answers at once, and gives the one pod everything."""

from __future__ import annotations

from portico_dataplane.effects.stores.memory import MemoryStore
from portico_ir.leases import Ask, Exchange, Settlement, Tokens


async def test_it_answers_at_once() -> None:
    answers: list[Settlement] = []
    store = MemoryStore(answers.append, lambda: 5.0)
    store.send(Exchange(holder="pod", serial=1, asks=(Ask("b", Tokens(7, 42), want=1.0),)))
    (answer,) = answers
    assert (answer.serial, answer.now_ms) == (1, 5)
    assert [(grant.tokens, grant.rate) for grant in answer.grants] == [(42, 7)]
    await store.close()
