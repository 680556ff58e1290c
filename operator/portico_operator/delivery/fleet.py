"""Fleet: which pods of a class are live, and which serve what was published. [pure]

Fed by the stream server (streams and acknowledgements) and by the reflector of EndpointSlices
(live pods); read by status. Promises: a change is programmed only when *every* live pod has
acknowledged it, stream or no stream; what a pod took from another replica counts when it makes
the pod do the same, or when that replica had seen all of this one's world. Time comes in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from portico_ir.stream import WHOLE, Acknowledgement, Marks, is_forward
from portico_operator.ports import PodReport

_REMEMBERED: Final = 256
"""Publications that an acknowledgement can be placed among."""
_NAMED: Final = 3
"""Pods that a message names."""


class Candidate(NamedTuple):
    """A pod as an EndpointSlice of the class's Service shows it."""

    uid: str
    name: str
    ready: bool
    terminating: bool = False


class Propagation(NamedTuple):
    """A publication that every live pod has acknowledged."""

    serial: int
    seconds: float
    """Since the change that it stands for."""


Reason = Literal["Programmed", "NoDataPlane", "Unreachable", "Pending", "Refused"]


class Programming(NamedTuple):
    """The Programmed condition of whatever is made of some units."""

    is_true: bool
    reason: Reason
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the fleet is."""

    live: tuple[str, ...]
    """Names of live pods."""
    acknowledged: tuple[str, ...]
    """Those that serve the latest publication."""
    pending: tuple[str, ...]
    """Those that have a stream and serve something else."""
    unreachable: tuple[str, ...]
    """Those without a stream."""
    refused: Mapping[str, Mapping[str, str]]
    """Unit id to pod name to reason."""
    propagation: float | None
    """Seconds that the last acknowledged publication took."""


class _Publication(NamedTuple):
    serial: int
    content: str
    marks: Marks
    build: str
    changed_at: float


@dataclass(slots=True)
class _Pod:
    name: str
    streams: int = 0
    said: Acknowledgement | None = None
    serial: int = 0
    """Of the newest publication it is known to serve."""
    refused: Mapping[str, str] = field(default_factory=dict)


class Fleet:
    """The pods of one class."""

    def __init__(self) -> None:
        self._pods: dict[str, _Pod] = {}
        self._live: dict[str, str] = {}
        self._recent: deque[_Publication] = deque(maxlen=_REMEMBERED)
        self._unsettled: deque[_Publication] = deque(maxlen=_REMEMBERED)
        self._last: float | None = None
        self._digests: dict[str, str] = {}
        """Content to the digest of the newest manifest that has it."""

    # What happens.

    def published(
        self,
        *,
        digest: str,
        content: str,
        marks: Mapping[str, str],
        build: str,
        changed_at: float,
        now: float,
    ) -> list[Propagation]:
        """Something new is offered; pods that serve the like already have it."""
        latest = _Publication(self.serial + 1, content, dict(marks), build, changed_at)
        self._recent.append(latest)
        self.renamed(content, digest)
        if self._live:  # otherwise there is nobody to measure
            self._unsettled.append(latest)
        for pod in self._pods.values():
            self._place(pod)
        return self._settle(now)

    def renamed(self, content: str, digest: str) -> None:
        """The newest manifest with this content; only its marks are other than before."""
        self._digests[content] = digest
        while len(self._digests) > _REMEMBERED:
            del self._digests[next(iter(self._digests))]

    def set_pods(self, candidates: Iterable[Candidate], now: float) -> list[Propagation]:
        """The class's pods: live is who is ready and not terminating."""
        self._live = {c.uid: c.name for c in candidates if c.ready and not c.terminating}
        self._drop_gone()
        return self._settle(now)

    def joined(self, uid: str, name: str) -> None:
        """A pod has opened a stream."""
        pod = self._pods.setdefault(uid, _Pod(name))
        pod.name = name
        pod.streams += 1

    def left(self, uid: str) -> None:
        """A stream has ended; what a live pod said last stays true of it."""
        pod = self._pods.get(uid)
        if pod is not None:
            pod.streams -= 1
            self._drop_gone()

    def acknowledged(self, uid: str, said: Acknowledgement, now: float) -> list[Propagation]:
        """A pod says what it serves."""
        pod = self._pods.get(uid)
        if pod is None:
            return []
        pod.said = said
        self._place(pod)
        return self._settle(now)

    # What follows from it.

    @property
    def serial(self) -> int:
        """Of the latest publication; 0: none yet."""
        return self._recent[-1].serial if self._recent else 0

    def is_live(self, uid: str) -> bool:
        """Whether the pod counts."""
        return uid in self._live

    def told(self, uid: str) -> tuple[int, str, Mapping[str, str]]:
        """What status can tell of a pod: publication, manifest, refusals."""
        pod = self._pods.get(uid)
        if pod is None or pod.said is None:
            return (0, "", {})
        return (pod.serial, pod.said.digest, pod.refused)

    def settled(self) -> int | None:
        """The newest publication that every live pod serves; None: there is no live pod."""
        if not self._live:
            return None
        return min(self._serial_of(uid) for uid in self._live)

    def standing(self) -> Standing:
        """Where everybody is."""
        latest = self.serial
        unreachable = self._unreachable()
        has = [uid for uid in self._live if latest and self._serial_of(uid) >= latest]
        lacks = [uid for uid in self._live if uid not in has and uid not in unreachable]
        refused: dict[str, dict[str, str]] = {}
        for uid, name in self._live.items():
            for unit, reason in self._refused_by(uid).items():
                refused.setdefault(unit, {})[name] = reason
        return Standing(
            live=self._names(self._live),
            acknowledged=self._names(has),
            pending=self._names(lacks),
            unreachable=self._names(unreachable),
            refused=refused,
            propagation=self._last,
        )

    def programmed(self, units: Collection[str], serial: int) -> Programming:
        """Whether every live pod serves these units as publication `serial` has them."""
        if not self._live:
            return Programming(False, "NoDataPlane", "no data-plane pod of the class is ready")
        if unreachable := self._unreachable():
            named = _named(self._names(unreachable))
            return Programming(False, "Unreachable", f"no stream from {named}")
        for uid, name in self._live.items():
            refused = self._refused_by(uid)
            for unit in (*units, WHOLE):
                if unit in refused:
                    return Programming(False, "Refused", f"{name} refused it: {refused[unit]}")
        if late := [uid for uid in self._live if self._serial_of(uid) < serial]:
            named = _named(self._names(late))
            return Programming(False, "Pending", f"not yet acknowledged by {named}")
        return Programming(True, "Programmed")

    def reports(self) -> dict[str, PodReport]:
        """What pods with a stream say, in terms of this replica's own manifests."""
        found: dict[str, PodReport] = {}
        for uid, pod in self._pods.items():
            if pod.streams > 0:
                said = pod.said
                serving = said is not None and WHOLE not in said.refused
                found[uid] = PodReport(
                    uid=uid,
                    name=pod.name,
                    manifest=self._digests.get(said.content, said.digest)
                    if said and serving
                    else "",
                    marks=said.marks if said and serving else {},
                    refused=said.refused if said else {},
                )
        return found

    # Within.

    def _place(self, pod: _Pod) -> None:
        """Find the newest publication that what the pod said amounts to."""
        said = pod.said
        if said is None:
            return
        pod.refused = said.refused
        if WHOLE in said.refused:
            return  # it serves on what it had
        placed = 0
        for publication in reversed(self._recent):
            if said.content == publication.content or _includes(said, publication):
                placed = publication.serial
                break
        pod.serial = placed

    def _settle(self, now: float) -> list[Propagation]:
        settled = self.settled()
        done: list[Propagation] = []
        while settled is not None and self._unsettled and self._unsettled[0].serial <= settled:
            publication = self._unsettled.popleft()
            self._last = max(0.0, now - publication.changed_at)
            done.append(Propagation(publication.serial, self._last))
        return done

    def _drop_gone(self) -> None:
        self._pods = {
            uid: pod for uid, pod in self._pods.items() if pod.streams > 0 or uid in self._live
        }

    def _serial_of(self, uid: str) -> int:
        pod = self._pods.get(uid)
        return pod.serial if pod is not None and pod.streams > 0 else 0

    def _refused_by(self, uid: str) -> Mapping[str, str]:
        pod = self._pods.get(uid)
        return pod.refused if pod is not None and pod.streams > 0 else {}

    def _unreachable(self) -> list[str]:
        return [uid for uid in self._live if uid not in self._pods or not self._pods[uid].streams]

    def _names(self, uids: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(self._live[uid] for uid in uids))


def _includes(said: Acknowledgement, publication: _Publication) -> bool:
    """Whether another replica had seen all of this one's world, and more. With equal marks only
    the content counts; another build may make something else of any world."""
    return (
        said.build == publication.build
        and is_forward(said.marks, publication.marks)
        and not is_forward(publication.marks, said.marks)
    )


def _named(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return f"{shown} and {more} more" if more > 0 else shown
