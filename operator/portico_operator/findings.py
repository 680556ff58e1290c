"""Findings [pure]: what compiles say about every object, and what is other than before.

Made by the status loop, off its loop where there are many objects; compared here for the board,
so that what did not change costs the board nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from portico_compiler import Condition, ObjectRef
from portico_operator.status import Identity


class Findings(NamedTuple):
    """What one or more compiles found."""

    conditions: Mapping[ObjectRef, tuple[Condition, ...]]
    """Of every object of our kinds."""
    identities: Mapping[ObjectRef, Identity]
    """Of those that show more than conditions: APIs, Stages and others."""
    not_deployed: Mapping[ObjectRef, str]
    """Why an API, or a Route of it, is served by no Stage."""
    classes: Mapping[ObjectRef, str]
    """The class whose data plane must have the object; objects of other operators' classes are
    not among these."""
    serials: Mapping[ObjectRef, int]
    """Of APIs and Stages: the publication that changed anything of the API last."""


NOTHING = Findings({}, {}, {}, {}, {})


class News(NamedTuple):
    """Findings, and where they differ from those before."""

    findings: Findings
    moved: frozenset[ObjectRef]
    """Objects of which something else is found, or that are new, whether or not a user changed
    them: what they name has changed, they are served by a Stage again, they have an address."""
    gone: frozenset[ObjectRef]
    """Objects of which nothing is found any more."""


def compared(old: Findings, new: Findings, among: Collection[ObjectRef] | None = None) -> News:
    """What is other than before; `among`: of no other objects conditions or classes are."""
    candidates = new.classes.keys() if among is None else new.classes.keys() & among
    moved = {
        ref
        for ref in candidates
        if old.classes.get(ref) != new.classes[ref]
        or old.conditions.get(ref) != new.conditions[ref]
    }
    idle = old.not_deployed.keys() | new.not_deployed.keys()
    moved |= {ref for ref in idle if old.not_deployed.get(ref) != new.not_deployed.get(ref)}
    moved |= {ref for ref, shown in new.identities.items() if old.identities.get(ref) != shown}
    ours = new.classes.keys()
    gone = (old.classes.keys() if among is None else old.classes.keys() & among) - ours
    return News(new, frozenset(moved & ours), frozenset(gone))
