"""Rollout [pure]: which publication every live pod of a class has acknowledged.

Asked by the status board. A publication is a number that only grows; an object is programmed once
every live pod has acknowledged one that is not older than the object's own. *Live* is what
design.md §3 says: ready and not terminating in the data plane's EndpointSlices, stream or none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from portico_operator.objects import version_of
from portico_operator.ports import PodReport

_REMEMBERED = 1024
"""Publications that an acknowledgement may still name."""


class LivePod(NamedTuple):
    """A pod that gets traffic."""

    uid: str
    """Its uid."""
    name: str
    """Its name."""


class Laggard(NamedTuple):
    """A live pod that has not acknowledged what it should."""

    name: str
    """Its name."""
    reachable: bool
    """Whether it has a stream to us."""


class Standing(NamedTuple):
    """Where the fleet of a class is."""

    pods: int
    """Live pods."""
    acknowledged: int
    """The newest publication that all of them have; 0: not all have one."""
    at: tuple[tuple[int, LivePod, bool], ...]
    """Every live pod's publication, and whether it has a stream; the most backward first."""
    refused: Mapping[str, tuple[str, str]]
    """Unit id to pod and reason, of what a live pod refused."""

    def behind(self, publication: int) -> list[Laggard]:
        """Live pods that do not have this publication."""
        return [Laggard(pod.name, open_) for at, pod, open_ in self.at if at < publication]

    def having(self, publication: int) -> int:
        """How many live pods have this publication."""
        return sum(at >= publication for at, _, _ in self.at)


NOBODY = Standing(0, 0, (), {})


class Rollout:
    """The publications of one class and the pods that acknowledge them."""

    def __init__(self) -> None:
        self.newest = 0
        """The last publication."""
        self._by_digest: OrderedDict[str, int] = OrderedDict()
        self._marks: OrderedDict[int, Mapping[str, str]] = OrderedDict()
        self._reached: dict[str, int] = {}
        """Pod uid to the newest publication it was seen to have: pods only go forward."""

    def published(self, digest: str, marks: Mapping[str, str]) -> int:
        """Something was published; its number."""
        self.newest += 1
        self._by_digest[digest] = self.newest
        self._by_digest.move_to_end(digest)
        self._marks[self.newest] = marks
        while len(self._by_digest) > _REMEMBERED:
            self._by_digest.popitem(last=False)
        while len(self._marks) > _REMEMBERED:
            self._marks.popitem(last=False)
        return self.newest

    def standing(self, live: Mapping[str, LivePod], reports: Mapping[str, PodReport]) -> Standing:
        """Where the live pods are now."""
        self._reached = {uid: at for uid, at in self._reached.items() if uid in live}
        at: list[tuple[int, LivePod, bool]] = []
        refused: dict[str, tuple[str, str]] = {}
        for uid, pod in live.items():
            report = reports.get(uid)
            if report is not None and report.manifest:
                reached = max(self._place(report), self._reached.get(uid, 0))
                self._reached[uid] = reached
                for unit, reason in report.refused.items():
                    refused.setdefault(unit, (pod.name, reason))
            # Ready without a stream is unreachable, never acknowledged (design.md §3).
            at.append((self._reached.get(uid, 0) if report else 0, pod, report is not None))
        at.sort(key=lambda entry: (entry[0], entry[1].name))
        return Standing(len(at), at[0][0] if at else 0, tuple(at), refused)

    def _place(self, report: PodReport) -> int:
        known = self._by_digest.get(report.manifest)
        if known is not None:
            return known
        # Another replica's manifest: it covers whatever publication it is not older than.
        reached = {kind: version_of(text) for kind, text in report.marks.items()}
        for number in reversed(self._marks):
            marks = self._marks[number]
            if all(version_of(text) <= reached.get(kind, -1) for kind, text in marks.items()):
                return number if marks else 0
        return 0
