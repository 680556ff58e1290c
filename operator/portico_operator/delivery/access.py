"""Who a pod is: its projected token, reviewed by the API server.

Asked by the stream server for every stream and every unit. Promises: what the token itself
already rules out never reaches the API server; a denial is remembered for 10 s and a success
until the token expires, 5 min at most; every denial is counted by its reason; that the API
server cannot be reached is an answer of its own (`Undecided`), never a denial.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import enum
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import msgspec

from portico_ir.secrets import Redacted
from portico_ir.stream import AUDIENCE

DENIAL_S: Final = 10.0
SUCCESS_S: Final = 300.0
_MOST_REMEMBERED: Final = 4_096
_MOST_REVIEWS: Final = 16
"""At a time: forged tokens that look right must not crowd the API server."""
_MOST_BYTES: Final = 16_384
"""Of a token; those of Kubernetes have about 1,200."""


class DenialReason(enum.StrEnum):
    """Label of the counter."""

    MISSING = "missing"
    MALFORMED = "malformed"
    EXPIRED = "expired"
    AUDIENCE = "audience"
    SERVICE_ACCOUNT = "service_account"
    """No class has this one."""
    POD = "pod"
    """Not bound to a pod, or to one that is gone."""
    REFUSED = "refused"
    """The API server says no."""


class Review(NamedTuple):
    """What a TokenReview answered."""

    authenticated: bool
    username: str = ""
    audiences: tuple[str, ...] = ()
    pod_uid: str = ""
    """`authentication.kubernetes.io/pod-uid` of `status.user.extra`."""
    pod_name: str = ""
    """`authentication.kubernetes.io/pod-name` of it."""
    error: str = ""


class Unreachable(Exception):
    """The API server gave no answer."""


class Reviewer(Protocol):
    """Asks the API server; `portico_operator.cluster` implements it."""

    async def review(self, token: Redacted, audience: str) -> Review:
        """The answer of a TokenReview with this audience; raises `Unreachable`."""
        ...


class Grounds(Protocol):
    """What this replica knows of the cluster without asking; answers at once."""

    def class_of(self, service_account: str) -> str | None:
        """The class whose pods run as `system:serviceaccount:<namespace>:<name>`."""
        ...

    def is_gone(self, pod_uid: str) -> bool:
        """Whether the pod is known to be no more; a pod not yet seen is not gone."""
        ...


class Grant(NamedTuple):
    """A pod, and until when that is certain."""

    class_name: str
    pod_uid: str
    pod_name: str
    until: float
    """Unix time."""


class Denial(NamedTuple):
    """Not a pod of ours."""

    reason: DenialReason
    message: str


class Undecided(NamedTuple):
    """The API server could not be asked."""

    message: str


Verdict = Grant | Denial | Undecided


class _PodClaim(msgspec.Struct, frozen=True):
    uid: str = ""
    name: str = ""


class _KubernetesClaims(msgspec.Struct, frozen=True):
    pod: _PodClaim | None = None


class _Claims(msgspec.Struct, frozen=True, rename={"kubernetes": "kubernetes.io"}):
    """Of the token, believed only where they speak against it."""

    sub: str
    exp: float
    aud: tuple[str, ...] | str = ()
    kubernetes: _KubernetesClaims = _KubernetesClaims()


class Access:
    """Decides about tokens."""

    def __init__(
        self,
        reviewer: Reviewer,
        grounds: Grounds,
        clock: Callable[[], float],
        audience: str = AUDIENCE,
    ) -> None:
        self._reviewer = reviewer
        self._grounds = grounds
        self._clock = clock
        self._audience = audience
        self._remembered: OrderedDict[bytes, tuple[float, Grant | Denial]] = OrderedDict()
        self._locks: dict[bytes, asyncio.Lock] = {}
        self._reviews = asyncio.Semaphore(_MOST_REVIEWS)
        self.denials: Counter[str] = Counter()
        """By `DenialReason`."""
        self.reviews = 0
        """Questions put to the API server."""

    async def admit(self, token: Redacted | None, *, in_stream: bool = False) -> Verdict:
        """Who shows this token. For a stream that is open the API server is asked again, although
        the answer is known and even when the token has expired: nobody renews tokens while the
        API server is away, and only its own word ends a stream."""
        verdict = await self._decide(token, in_stream=in_stream)
        if isinstance(verdict, Denial):
            self.denials[verdict.reason] += 1
        return verdict

    async def _decide(self, token: Redacted | None, *, in_stream: bool) -> Verdict:
        if token is None or not token.reveal():
            return Denial(DenialReason.MISSING, "no token")
        claims = self._read(token, may_be_late=in_stream)
        if isinstance(claims, Denial):
            return claims
        key = hashlib.sha256(token.reveal().encode()).digest()
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # many requests with one token are one review
                known = self._remembered.get(key)
                if known is not None and self._clock() < known[0] and not in_stream:
                    return known[1]
                return await self._ask(token, claims, key)
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    async def _ask(self, token: Redacted, claims: _Claims, key: bytes) -> Verdict:
        try:
            async with self._reviews:
                self.reviews += 1
                review = await self._reviewer.review(token, self._audience)
        except Unreachable as error:
            return Undecided(str(error))
        now = self._clock()
        verdict = self._judge(review, claims, now)
        until = verdict.until if isinstance(verdict, Grant) else now + DENIAL_S
        self._remembered[key] = (until, verdict)
        self._remembered.move_to_end(key)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return verdict

    def _read(self, token: Redacted, *, may_be_late: bool) -> _Claims | Denial:
        """The claims, when nothing in them speaks against the token."""
        text = token.reveal()
        parts = text.split(".")
        if len(text) > _MOST_BYTES or len(parts) != 3 or not text.isascii():
            return Denial(DenialReason.MALFORMED, "not a token of a ServiceAccount")
        try:
            padded = parts[1] + "=" * (-len(parts[1]) % 4)
            claims = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=_Claims)
        except (binascii.Error, ValueError, RecursionError):
            return Denial(DenialReason.MALFORMED, "not a token of a ServiceAccount")
        if claims.exp <= self._clock() and not may_be_late:
            return Denial(DenialReason.EXPIRED, "the token has expired")
        audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        if self._audience not in audiences:
            return Denial(DenialReason.AUDIENCE, f"not for the audience {self._audience}")
        pod = claims.kubernetes.pod
        return self._foreign(claims.sub, pod.uid if pod is not None else "") or claims

    def _foreign(self, service_account: str, pod_uid: str) -> Denial | None:
        if self._grounds.class_of(service_account) is None:
            return Denial(DenialReason.SERVICE_ACCOUNT, "no class has this ServiceAccount")
        if not pod_uid:
            return Denial(DenialReason.POD, "the token is bound to no pod")
        if self._grounds.is_gone(pod_uid):
            return Denial(DenialReason.POD, "the pod is no more")
        return None

    def _judge(self, review: Review, claims: _Claims, now: float) -> Grant | Denial:
        if not review.authenticated:
            return Denial(DenialReason.REFUSED, review.error or "not authenticated")
        if self._audience not in review.audiences:
            # An API server that knows no audiences says yes to tokens for anybody.
            return Denial(DenialReason.AUDIENCE, f"not for the audience {self._audience}")
        denial = self._foreign(review.username, review.pod_uid)
        if denial is not None:
            return denial
        class_name = self._grounds.class_of(review.username)
        assert class_name is not None
        until = min(claims.exp, now + SUCCESS_S)
        return Grant(class_name, review.pod_uid, review.pod_name, until)
