"""Fleet: which pods of a class are live, and which serve what was published. [pure]

Fed by the stream server (streams and acknowledgements) and by the reflector of EndpointSlices
(live pods); read by status. Promises: this is the one place that says whether something is
programmed: when *every* live pod has acknowledged it, stream or no stream. What a pod took from
another replica counts when it makes the pod do the same, or when that replica is of the same build
and had seen all of this one's world. Time comes in.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from portico_ir.stream import WHOLE, Acknowledgement, Marks, is_forward
from portico_operator.pods import PodState

_REMEMBERED: Final = 256
"""Publications that an acknowledgement can be placed among."""
_NAMED: Final = 5
"""Pods that a message names; it counts the rest."""


class Propagation(NamedTuple):
    """A publication that every live pod has acknowledged."""

    serial: int
    seconds: float
    """Since the change that it stands for."""


Reason = Literal[
    "Programmed", "NoDataPlane", "Unreachable", "Pending", "Refused", "NotAccepted", "NotDeployed"
]


class Programming(NamedTuple):
    """A Programmed condition; for the last two reasons the fleet need not be asked."""

    is_true: bool
    reason: Reason
    message: str = ""

    @property
    def is_settled(self) -> bool:
        """It need not be waited for: nothing that is under way changes it."""
        return self.reason not in ("Pending", "Unreachable")


PROGRAMMED: Final = Programming(True, "Programmed")
NO_DATA_PLANE: Final = Programming(False, "NoDataPlane", "no data-plane pod of the class is ready")


class Refusal(NamedTuple):
    """A unit that a pod does not take."""

    reason: str
    since: int = 0
    """The first publication of which it does not; what is older still serves as it was."""


class LivePod(NamedTuple):
    """A pod that gets traffic: ready and not terminating (design.md §3)."""

    name: str
    serial: int = 0
    """Of the newest publication it is known to serve; 0: of none."""
    is_reachable: bool = True
    """It has a stream to this replica."""
    refused: Mapping[str, Refusal] = {}
    """Units that it keeps in a previous version."""
    rejected: int = 0
    """The newest publication of which it takes nothing at all."""
    fault: str = ""
    """Why it does not."""
    build: str = ""
    """Of another operator's version, which it takes its configuration from; empty: of ours."""


class Standing:
    """Where the fleet of a class is at one moment."""

    __slots__ = ("_found", "_refusing", "_serials", "_took", "live", "serial", "unreachable")

    def __init__(
        self, live: Iterable[LivePod] = (), serial: int = 0, took: Mapping[int, float] | None = None
    ) -> None:
        self.live = tuple(sorted(live, key=lambda pod: pod.name))
        self.serial = serial
        """Of the latest publication; 0: none yet."""
        self.unreachable = tuple(pod.name for pod in self.live if not pod.is_reachable)
        """Names of pods without a stream: never acknowledged (design.md §3)."""
        self._serials = sorted(pod.serial if pod.is_reachable else 0 for pod in self.live)
        self._refusing = [pod for pod in self.live if pod.refused or pod.fault]
        self._took = took or {}
        self._found: dict[int, Programming] = {}
        """By serial, without any units of its own."""

    @property
    def pods(self) -> int:
        """How many are live."""
        return len(self.live)

    @property
    def settled(self) -> int | None:
        """The newest publication that every live pod serves; None: there is no live pod."""
        return self._serials[0] if self._serials else None

    @property
    def refused(self) -> dict[str, dict[str, str]]:
        """Unit id to pod name to reason."""
        found: dict[str, dict[str, str]] = {}
        for pod in self._refusing:
            for unit, refusal in pod.refused.items():
                found.setdefault(unit, {})[pod.name] = refusal.reason
        return found

    def having(self, serial: int) -> int:
        """How many live pods serve this publication."""
        return len(self._serials) - bisect_left(self._serials, max(serial, 1))

    def took(self, serial: int) -> float | None:
        """Seconds that this publication took to every live pod; None: not known."""
        return self._took.get(serial)

    def programmed(self, serial: int, units: Collection[str] = ()) -> Programming:
        """Whether every live pod serves these units as publication `serial` has them."""
        if units:
            return self._programmed(serial, units)
        found = self._found.get(serial)
        if found is None:
            found = self._found[serial] = self._programmed(serial, ())
        return found

    def _programmed(self, serial: int, units: Collection[str]) -> Programming:
        if not self.live:
            return NO_DATA_PLANE
        if self.unreachable:
            return Programming(False, "Unreachable", f"no stream from {_named(self.unreachable)}")
        refusals = list(self._refusals(serial, units)) if self._refusing else ()
        if refusals:
            return Programming(False, "Refused", _listed(refusals))
        late = [pod for pod in self.live if pod.serial < max(serial, 1)]
        if late:
            return Programming(False, "Pending", f"not yet acknowledged by {_named(_lag(late))}")
        return PROGRAMMED

    def _refusals(self, serial: int, units: Collection[str]) -> Iterable[str]:
        for pod in self._refusing:
            if pod.serial < serial:
                # A unit that it refused of an older publication may be good by now.
                if serial <= pod.rejected:
                    yield f"{pod.name} refused it: {pod.fault}"
                continue
            for unit in units:
                refusal = pod.refused.get(unit)
                if refusal is not None and refusal.since <= serial:
                    yield f"{pod.name} refused it: {refusal.reason}"
                    break


NOBODY: Final = Standing()


class _Publication(NamedTuple):
    serial: int
    content: str
    marks: Marks
    changed_at: float


@dataclass(slots=True)
class _Pod:
    name: str
    streams: int = 0
    said: Acknowledgement | None = None
    serial: int = 0
    rejected: int = 0
    build: str = ""
    refused: Mapping[str, Refusal] = field(default_factory=dict)
    fault: str = ""


class Fleet:
    """The pods of one class."""

    def __init__(self, build: str = "") -> None:
        self._build = build
        """Of this replica."""
        self._pods: dict[str, _Pod] = {}
        self._live: dict[str, str] = {}
        self._recent: deque[_Publication] = deque(maxlen=_REMEMBERED)
        self._unsettled: deque[_Publication] = deque(maxlen=_REMEMBERED)
        self._took: dict[int, float] = {}
        self._standing: Standing | None = None

    # What happens.

    def published(
        self, *, content: str, marks: Mapping[str, str], changed_at: float, now: float
    ) -> list[Propagation]:
        """Something new is offered; pods that serve the like already have it."""
        latest = _Publication(self.serial + 1, content, dict(marks), changed_at)
        # Nobody to measure, or no change: a replica that starts offers what pods serve already.
        if self._live and self._recent:
            self._unsettled.append(latest)
        self._recent.append(latest)
        for pod in self._pods.values():
            if pod.said is not None:
                self._place(pod, pod.said)
        return self._settle(now)

    def set_pods(self, states: Iterable[PodState], now: float) -> list[Propagation]:
        """The class's pods: live is who is ready and not terminating."""
        self._live = {pod.uid: pod.name for pod in states if pod.ready and not pod.terminating}
        self._drop_gone()
        return self._settle(now)

    def joined(self, uid: str, name: str) -> None:
        """A pod has opened a stream."""
        before = self._pods.get(uid)
        # Perhaps another process than the one that spoke before: it says again what it serves.
        self._pods[uid] = _Pod(name, streams=1 if before is None else before.streams + 1)
        self._standing = None

    def left(self, uid: str) -> None:
        """A stream has ended."""
        pod = self._pods.get(uid)
        if pod is not None:
            pod.streams -= 1
            self._drop_gone()

    def acknowledged(self, uid: str, said: Acknowledgement, now: float) -> list[Propagation]:
        """A pod says what it serves."""
        pod = self._pods.get(uid)
        if pod is None:
            return []
        before = self._live_pod(uid, pod.name)
        # Whose offer it rejects need not be ours; then it is what was there to be had by now.
        pod.said, pod.rejected = said, 0
        self._place(pod, said)
        if WHOLE in said.refused and not pod.rejected:
            pod.rejected = self.serial
        if self._live_pod(uid, pod.name) == before:
            return []  # only marks have moved
        return self._settle(now)

    # What follows from it.

    @property
    def serial(self) -> int:
        """Of the latest publication; 0: none yet."""
        return self._recent[-1].serial if self._recent else 0

    def is_live(self, uid: str) -> bool:
        """Whether the pod counts."""
        return uid in self._live

    def said(self, uid: str) -> Acknowledgement | None:
        """What a pod with a stream said last."""
        pod = self._pods.get(uid)
        return pod.said if pod is not None and pod.streams > 0 else None

    def told(self, uid: str) -> tuple[int, str, Mapping[str, Refusal]]:
        """What status can tell of a pod: the publication it serves, why it takes nothing newer,
        and what it refuses of that."""
        pod = self._pods.get(uid)
        return (0, "", {}) if pod is None else (pod.serial, pod.fault, pod.refused)

    def standing(self) -> Standing:
        """Where everybody is; the same object until somebody moves."""
        if self._standing is None:
            live = (self._live_pod(uid, name) for uid, name in self._live.items())
            self._standing = Standing(live, self.serial, dict(self._took))
        return self._standing

    def programmed(self, units: Collection[str], serial: int) -> Programming:
        """Whether every live pod serves these units as publication `serial` has them."""
        return self.standing().programmed(serial, units)

    # Within.

    def _live_pod(self, uid: str, name: str) -> LivePod:
        pod = self._pods.get(uid)
        if pod is None or not pod.streams:
            return LivePod(name, is_reachable=False)
        return LivePod(
            name,
            pod.serial,
            refused=pod.refused,
            rejected=pod.rejected,
            fault=pod.fault,
            build=pod.build,
        )

    def _place(self, pod: _Pod, said: Acknowledgement) -> None:
        """Find the newest publication that what the pod said amounts to."""
        same = next((p.serial for p in reversed(self._recent) if p.content == said.content), 0)
        seen = self._seen_by(said.marks)
        pod.fault = said.refused.get(WHOLE, "")
        if WHOLE in said.refused:  # it serves on what it had, with what it refused of that
            pod.rejected = max(same, seen, pod.rejected)
            return
        news = Refusal("", pod.serial + 1)
        pod.refused = {
            unit: Refusal(reason, pod.refused.get(unit, news).since)
            for unit, reason in said.refused.items()
        }
        if said.build == self._build:
            pod.serial, pod.build = max(same, seen), ""
        else:
            # Another build may not know what this one does, so that only the same content counts
            # for what is new. What the pod had acknowledged it has not lost by moving on, though:
            # an upgrade of the operator is no change of all objects.
            pod.serial = max(same, min(pod.serial, seen))
            pod.build = "" if same else said.build

    def _seen_by(self, marks: Marks) -> int:
        """The newest publication of whose world another replica had seen all, and more. With
        equal marks only the content counts. Marks only grow, so halving finds it."""
        low, high = 0, len(self._recent) if marks else 0
        while low < high:
            middle = (low + high) // 2
            if is_forward(marks, self._recent[middle].marks):
                low = middle + 1
            else:
                high = middle
        while low and is_forward(self._recent[low - 1].marks, marks):
            low -= 1
        return self._recent[low - 1].serial if low else 0

    def _settle(self, now: float) -> list[Propagation]:
        self._standing = None
        settled = min((self._serial_of(uid) for uid in self._live), default=None)
        done: list[Propagation] = []
        while settled is not None and self._unsettled and self._unsettled[0].serial <= settled:
            publication = self._unsettled.popleft()
            seconds = self._took[publication.serial] = max(0.0, now - publication.changed_at)
            done.append(Propagation(publication.serial, seconds))
        while len(self._took) > _REMEMBERED:
            del self._took[next(iter(self._took))]
        return done

    def _drop_gone(self) -> None:
        self._standing = None
        self._pods = {
            uid: pod for uid, pod in self._pods.items() if pod.streams > 0 or uid in self._live
        }

    def _serial_of(self, uid: str) -> int:
        pod = self._pods.get(uid)
        return pod.serial if pod is not None and pod.streams > 0 else 0


def _lag(late: Iterable[LivePod]) -> list[str]:
    return [
        f"{pod.name} (it follows an operator of version {pod.build})" if pod.build else pod.name
        for pod in late
    ]


def _named(names: Collection[str]) -> str:
    return _some(names, ", ", " and ")


def _listed(sayings: Collection[str]) -> str:
    return _some(sayings, "; ", "; and ")


def _some(texts: Collection[str], between: str, last: str) -> str:
    shown = between.join([text for text, _ in zip(texts, range(_NAMED), strict=False)])
    more = len(texts) - _NAMED
    return f"{shown}{last}{more} more" if more > 0 else shown
