"""Board: what the pods of one class should have, and what to send to whom. [pure]

Kept by the stream server, one per class; one `Position` per stream. Promises: a pod is sent the
latest state and never a queue of changes, whatever it missed meanwhile; bytes are made once for
all streams; a change of marks alone is a small frame, and at most one each `ADVANCE_S`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from portico_ir.codec import digest, encode
from portico_ir.model import Endpoint, Manifest
from portico_ir.stream import (
    Addresses,
    Advance,
    Hello,
    Marks,
    Offer,
    content_digest,
    encode_frame,
    merged,
)

ADVANCE_S: Final = 0.5
"""Between two frames that only say how new things are."""
MOST_INLINE: Final = 256 * 1024
"""Bytes of new units that go with a manifest; more are fetched, compressed."""
_MOST_REMOVED: Final = 1_000
"""Upstreams that left and are remembered; a pod further behind is sent the whole set."""


class Board:
    """The latest of everything."""

    def __init__(self, class_name: str, build: str, ir_version: int) -> None:
        self.class_name = class_name
        self.build = build
        self.ir_version = ir_version
        self.digest = ""
        """Of the manifest; empty: nothing was published yet."""
        self.content = ""
        self.marks: Marks = {}
        """How far this operator has looked."""
        self.changed: Marks = {}
        """The newest changes in what is offered."""
        self.sequence = 0
        """Of the endpoints."""
        self._manifest = b""
        self._digests: frozenset[str] = frozenset()
        self._before = ""
        """Content before the present one."""
        self._fresh: Mapping[str, msgspec.Raw] = {}
        """By digest: units of the present one that the one before has not; empty: too much."""
        self._version = 0
        self._upstreams: dict[str, tuple[Endpoint, ...]] = {}
        self._changed: dict[str, int] = {}
        """Upstream to the sequence that changed it last."""
        self._removed: dict[str, int] = {}
        self._floor = 0
        """A change from before this cannot be told: part of it is forgotten."""
        self._frames: dict[tuple[object, ...], bytes] = {}
        """Frames made for this state."""

    def publish(
        self, manifest: Manifest, units: Mapping[str, bytes | msgspec.Raw] | None = None
    ) -> bool:
        """Offer this; False when it makes pods do what the one before does. `units`, by id, go
        with the manifest where they are new."""
        self._frames.clear()
        content = content_digest(manifest)
        # A manifest's marks stand even where they are lower: it is this operator's own world,
        # which only goes forward, and a kind may have been deleted with all its objects.
        self.marks = self.changed = dict(manifest.marks)
        if content == self.content:
            return False
        self._manifest = encode(manifest)
        self._before = self.content
        self._fresh = self._new_units(manifest, units or {})
        self._digests = frozenset(manifest.units.values())
        self.digest, self.content = digest(self._manifest), content
        return True

    def _new_units(
        self, manifest: Manifest, units: Mapping[str, bytes | msgspec.Raw]
    ) -> dict[str, msgspec.Raw]:
        fresh = {
            known: msgspec.Raw(units[unit])
            for unit, known in manifest.units.items()
            if known not in self._digests and unit in units
        }
        return fresh if sum(map(len, fresh.values())) <= MOST_INLINE else {}

    def advance(self, marks: Mapping[str, str]) -> None:
        """What is offered holds up to here: nothing has changed in it since."""
        self._frames.clear()
        self.marks = merged(self.marks, dict(marks))

    def set_endpoints(
        self, upstreams: Mapping[str, tuple[Endpoint, ...]], version: int = 0
    ) -> bool:
        """Offer these addresses; False when they are the ones before."""
        changed = {name for name, found in upstreams.items() if self._upstreams.get(name) != found}
        removed = self._upstreams.keys() - upstreams.keys()
        if not changed and not removed and self.sequence:
            return False
        self.sequence += 1
        self._version = version
        self._frames.clear()
        for name in changed:
            self._removed.pop(name, None)
            self._changed[name] = self.sequence
        for name in removed:
            self._changed.pop(name, None)
            self._removed[name] = self.sequence
        while len(self._removed) > _MOST_REMOVED:
            oldest = next(iter(self._removed))
            self._floor = max(self._floor, self._removed.pop(oldest))
        self._upstreams = dict(upstreams)
        return True

    # Frames.

    def hello(self) -> bytes:
        """The first frame to a pod."""
        return encode_frame(
            Hello(
                ir_version=self.ir_version,
                build=self.build,
                class_name=self.class_name,
                digest=self.digest,
                content=self.content,
                marks=self.marks,
                changed=self.changed,
            )
        )

    def offer(self, content: str = "") -> bytes:
        """The manifest, for a pod that was sent `content` before."""
        fresh = self._fresh if content and content == self._before else {}
        return self._made(("offer", bool(fresh)), lambda: self._offer(fresh))

    def _offer(self, fresh: Mapping[str, msgspec.Raw]) -> bytes:
        manifest = msgspec.Raw(self._manifest)
        return encode_frame(Offer(manifest=manifest, marks=self.marks, units=dict(fresh)))

    def advanced(self) -> bytes:
        """How new the manifest is by now."""
        return self._made(
            ("advance",),
            lambda: encode_frame(
                Advance(
                    digest=self.digest,
                    content=self.content,
                    marks=self.marks,
                    changed=self.changed,
                )
            ),
        )

    def addresses(self, since: int | None) -> bytes:
        """Endpoints, or what changed of them after `since`."""
        if since is not None and (since < self._floor or since > self.sequence):
            since = None
        return self._made(("addresses", since), lambda: self._addresses(since))

    def _addresses(self, since: int | None) -> bytes:
        if since is None:
            frame = Addresses(
                sequence=self.sequence,
                upstreams=self._upstreams,
                marks=self.marks,
                version=self._version,
            )
        else:
            frame = Addresses(
                sequence=self.sequence,
                since=since,
                upstreams={
                    name: self._upstreams[name]
                    for name, sequence in self._changed.items()
                    if sequence > since
                },
                removed=tuple(
                    sorted(name for name, sequence in self._removed.items() if sequence > since)
                ),
                marks=self.marks,
                version=self._version,
            )
        return encode_frame(frame)

    def _made(self, key: tuple[object, ...], make: Callable[[], bytes]) -> bytes:
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = make()
        return frame


class Position:
    """How far one stream is."""

    __slots__ = ("_advanced_at", "_content", "_digest", "_following", "_marks", "_sequence")

    def __init__(self) -> None:
        self._following = False
        self._content = ""
        self._digest = ""
        self._sequence: int | None = None
        self._marks: Marks = {}
        self._advanced_at = 0.0

    def greeted(self, board: Board) -> None:
        """The hello that was sent said this."""
        self._digest, self._marks = board.digest, board.marks

    def follow(self, *, on: bool, content: str) -> None:
        """The pod takes configuration from here, or no longer; it serves `content`."""
        self._following = on
        self._content = content
        self._digest = ""
        self._sequence = None
        self._marks = {}

    def due(self, board: Board, now: float) -> list[bytes]:
        """What to send now; afterwards the stream counts as being there."""
        if not board.digest:
            return []
        frames: list[bytes] = []
        if self._following:
            # Addresses first: routes that name a new upstream find it.
            if board.sequence and self._sequence != board.sequence:
                frames.append(board.addresses(self._sequence))
                self._sequence = board.sequence
            if self._content != board.content:
                frames.append(board.offer(self._content))
                self._content, self._digest, self._marks = board.content, board.digest, board.marks
        if self._wait(board, now) == 0:
            frames.append(board.advanced())
            self._digest, self._marks, self._advanced_at = board.digest, board.marks, now
        return frames

    def wait(self, board: Board, now: float) -> float | None:
        """Seconds until something is due that is not yet; None: until the board changes."""
        return self._wait(board, now) if board.digest else None

    def _wait(self, board: Board, now: float) -> float | None:
        if self._digest == board.digest and self._marks == board.marks:
            return None
        if self._digest != board.digest:
            return 0
        return max(0.0, self._advanced_at + ADVANCE_S - now)
