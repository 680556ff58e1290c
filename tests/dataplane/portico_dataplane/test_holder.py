"""The holder: ready after the first swap, and whoever took a Runtime before still has it."""

from __future__ import annotations

from portico_dataplane.holder import EMPTY, Holder
from portico_dataplane.runtime import Runtime
from portico_ir.model import GatewayUnit


def runtime(digest: str) -> Runtime:
    return Runtime(digest, GatewayUnit(), {}, {}, None)


def test_before_the_first_configuration_nothing_serves() -> None:
    holder = Holder()
    assert not holder.ready
    assert holder.current is EMPTY
    assert (EMPTY.digest, EMPTY.hosts, EMPTY.apis, EMPTY.sole) == ("", {}, {}, None)


def test_a_swap_is_one_assignment() -> None:
    holder, one, two = Holder(), runtime("1"), runtime("2")
    assert holder.swap(one) is EMPTY
    taken = holder.current
    assert holder.swap(two) is one
    assert (taken, holder.current) == (one, two)
    assert holder.ready


def test_holders_are_apart() -> None:
    one, two = Holder(), Holder()
    one.swap(runtime("1"))
    assert not two.ready


def test_an_empty_configuration_is_one() -> None:
    """No API at all is what the first snapshot of a new cluster says."""
    holder = Holder()
    holder.swap(runtime(""))
    assert holder.ready
