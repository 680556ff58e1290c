"""What the reconciler and status ask of delivery and of the election, as Protocols.

Implemented by `delivery/` (the stream server and its fleet) and by `cluster/lease`; tests pass
their own. Promises nothing; it keeps both sides apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from portico_ir.model import EndpointSet, Snapshot


class PodReport(NamedTuple):
    """What one data-plane pod last acknowledged, to whichever replica it takes from."""

    uid: str
    """Uid of the pod."""
    name: str
    """Name of the pod, for messages."""
    manifest: str
    """Digest of the manifest that it serves; empty: none yet."""
    marks: Mapping[str, str] = {}
    """The marks of that manifest, so that another replica's manifest can be placed."""
    refused: Mapping[str, str] = {}
    """Unit id to reason of what it refused."""


class Delivery(Protocol):
    """Where configuration goes. All calls return at once; the latest state counts."""

    def publish(
        self, class_name: str, snapshot: Snapshot, *, changed_at: float | None = None
    ) -> object:
        """Pods of this class should serve this snapshot; `changed_at` (Unix time) is when the
        change in it was made."""
        ...

    def set_endpoints(
        self, class_name: str, endpoints: EndpointSet, marks: Mapping[str, str] | None = None
    ) -> None:
        """Pods of this class should use these addresses; nothing else has changed."""
        ...

    def advance(self, class_name: str, marks: Mapping[str, str]) -> None:
        """What was published last holds up to here."""
        ...


class Fleet(Protocol):
    """What the pods of a class say; streams that are open, no more."""

    def reports(self, class_name: str) -> Mapping[str, PodReport]:
        """By pod uid, of every pod with an open stream."""
        ...

    def subscribe(self, changed: Callable[[], None]) -> None:
        """`changed` is called on the loop whenever a report came, changed or went."""
        ...


class Leadership(Protocol):
    """Whether this replica may write."""

    def is_leader(self) -> bool:
        """True only while nobody else can believe the same."""
        ...
