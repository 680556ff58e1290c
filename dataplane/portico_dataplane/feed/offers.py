"""Offers [pure]: manifests as operators send them, and the units that came with them.

Read by links, served by the feed. Promises: a manifest that this version cannot read is an offer
with a fault, never an error; a unit counts only when its bytes are those its digest names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from portico_ir.codec import Undecodable, digest
from portico_ir.model import IR_VERSION, Manifest
from portico_ir.stream import Marks, Offer, content_digest, manifest_of

MOST_RECEIVED: Final = 4 * 1024 * 1024
"""Bytes of units that nobody has taken yet; they can all be fetched."""


class Offered(NamedTuple):
    """A manifest as it came."""

    digest: str
    """Of the bytes as sent."""
    manifest: Manifest | None
    """None: this version cannot read it."""
    fault: str
    """Why the manifest as such is refused; empty: it is not."""
    content: str
    marks: Marks
    changed: Marks
    """The newest changes in it: its own marks."""


class Received:
    """Units that came before anybody asked."""

    def __init__(self) -> None:
        self._units: dict[str, bytes] = {}
        self._bytes = 0

    def add(self, units: Mapping[str, msgspec.Raw]) -> None:
        """Of one frame. What is not what its digest names is passed over, and will be fetched."""
        for known, raw in units.items():
            encoded = bytes(raw)
            if self._bytes + len(encoded) > MOST_RECEIVED:
                self.take()
            if known not in self._units and digest(encoded) == known:
                self._units[known] = encoded
                self._bytes += len(encoded)

    def take(self) -> dict[str, bytes]:
        """All of them, by digest; afterwards there are none."""
        taken, self._units, self._bytes = self._units, {}, 0
        return taken


def offered(frame: Offer) -> Offered:
    """What a frame offers."""
    known = digest(frame.manifest)
    try:
        manifest = manifest_of(frame)
    except Undecodable as error:
        # Whatever it says is something else than what serves.
        content = f"unreadable {known}"
        fault = f"not readable: {error}"
        return Offered(known, None, fault, content, frame.marks, frame.marks)
    version, fault = manifest.ir_version, ""
    if version != IR_VERSION:
        fault = f"irVersion {version}, but this pod reads {IR_VERSION}"
    content = content_digest(manifest)
    return Offered(known, manifest, fault, content, frame.marks, manifest.marks)
