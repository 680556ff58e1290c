"""Keys of token issuers: discovered, fetched, refreshed, and forgotten in time (AWS §4.9).

One for each gateway, beside its Runtime; asked by `http/admission.py` when a policy lacks a key.
What it learns goes into the Keyring, so most requests never come here. Promises: one fetch at a
time for each issuer, whoever asks; tokens with unknown key ids cause at most one a minute; keys
are renewed in the background and serve on while that fails, for two hours at most; an issuer that
fails is asked again after growing whiles, and meanwhile the answer comes at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Protocol

import msgspec

from portico_dataplane.core.keyring import Jwk, Keyring, KeySet, jwks_of
from portico_dataplane.core.verdicts import FetchKeys, Unavailable
from portico_dataplane.tasks import spawn
from portico_ir.errors import ErrorKind

_log = logging.getLogger(__name__)

LIFE_S: Final = 7200.0
"""How long keys are believed, at most: AWS's cache."""
RENEWAL_S: Final = 900.0
"""After so long they are fetched again in the background; a revoked key works no longer."""
UNKNOWN_S: Final = 60.0
"""Between fetches that unknown key ids cause."""
FIRST_BACKOFF_S: Final = 1.0
MOST_BACKOFF_S: Final = 60.0

Done = Callable[[KeySet | Unavailable], None]


class NoDocument(Exception):
    """A document that could not be had; the text is for the log, never for a client."""


class Documents(Protocol):
    """Where documents come from: effects/documents.py."""

    async def get(self, address: str) -> bytes:
        """The whole document; raises NoDocument."""
        ...


class _Discovery(msgspec.Struct):
    issuer: str
    jwks_uri: str


_DISCOVERY: Final = msgspec.json.Decoder(_Discovery)


class Waiting:
    """Somebody who asked for a key."""

    __slots__ = ("_done", "key_id")

    def __init__(self, key_id: str, done: Done) -> None:
        self.key_id = key_id
        self._done: Done | None = done

    @property
    def pending(self) -> bool:
        """There is no answer yet, and somebody waits for it."""
        return self._done is not None

    def end(self) -> None:
        """The client left; nobody waits for the answer."""
        self._done = None

    def tell(self, found: KeySet | Unavailable) -> None:
        """The answer, once."""
        done, self._done = self._done, None
        if done is not None:
            try:
                done(found)
            except Exception:
                # The others wait for the same answer.
                _log.exception("a request that waited for keys failed")


class _Issuer:
    """What is going on with one issuer."""

    __slots__ = ("failures", "fault", "fetching", "not_before", "renewal", "waiting")

    def __init__(self) -> None:
        self.fetching: asyncio.Task[None] | None = None
        self.waiting: list[Waiting] = []
        self.not_before = 0.0
        """Loop time before which no request causes a fetch."""
        self.failures = 0
        """In a row."""
        self.fault = ""
        """Why the last fetch failed; empty: it did not."""
        self.renewal: asyncio.TimerHandle | None = None


class KeySets:
    """Every issuer of one gateway."""

    def __init__(
        self,
        keyring: Keyring,
        documents: Callable[[], Awaitable[Documents]],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`documents` loads what fetches, when it is first needed."""
        self._keyring = keyring
        self._load = documents
        self._documents: Documents | None = None
        self._clock = clock
        self._issuers: dict[str, _Issuer] = {}

    def retain(self, issuers: Collection[str]) -> None:
        """The issuers of the configuration: others are forgotten, with all that is under way."""
        for issuer in self._issuers.keys() - set(issuers):
            self._drop(issuer)
        for issuer in issuers:
            self._issuers.setdefault(issuer, _Issuer())
        self._keyring.retain(issuers)

    def close(self) -> None:
        """Forget everything."""
        self.retain(())

    def find(self, effect: FetchKeys, done: Done) -> Waiting:
        """Tell `done` the keys of an issuer, at once where nothing is to be fetched for them."""
        waiting = Waiting(effect.key_id, done)
        state = self._issuers.get(effect.issuer)
        if state is None:
            waiting.tell(_unavailable("the issuer is not configured any more"))
            return waiting
        keys = self._keyring.keys(effect.issuer, self._now_ms())
        if keys is not None and effect.key_id in keys:
            waiting.tell(keys)
        elif state.fetching is not None:
            state.waiting.append(waiting)
        elif asyncio.get_running_loop().time() < state.not_before:
            known = keys is not None and not state.fault
            waiting.tell(keys if known and keys is not None else _unavailable(state.fault))
        else:
            state.waiting.append(waiting)
            self._start(effect.issuer, state)
        return waiting

    def _start(self, issuer: str, state: _Issuer) -> None:
        state.fetching = spawn(self._renew(issuer, state), name=f"keys of {issuer}")

    async def _renew(self, issuer: str, state: _Issuer) -> None:
        """Fetch, remember, tell who waits."""
        found: KeySet | Unavailable
        try:
            jwks = await self._fetch(issuer)
            until_ms = int((self._clock() + LIFE_S) * 1000)
            found = self._keyring.put(issuer, jwks, until_ms)
            state.failures, state.fault = 0, ""
        except NoDocument as failure:
            state.failures += 1
            state.fault = str(failure)
            found = _unavailable(state.fault)
            _log.warning("keys of %s could not be fetched: %s", issuer, failure)
        except Exception as bug:
            _log.exception("keys of %s could not be fetched", issuer)
            state.failures += 1
            state.fault = type(bug).__name__
            found = _unavailable(state.fault)
        state.fetching = None
        waiting, state.waiting = state.waiting, []
        state.not_before = self._next_attempt(state, waiting, found)
        self._schedule(issuer, state)
        for one in waiting:
            one.tell(found)

    def _next_attempt(
        self, state: _Issuer, waiting: list[Waiting], found: KeySet | Unavailable
    ) -> float:
        """From when on requests may cause the next fetch."""
        now = asyncio.get_running_loop().time()
        if isinstance(found, Unavailable):
            return now + _backoff(state.failures)
        # A client can make up key ids for ever: what it gets for one is a minute's peace.
        unknown = any(one.key_id not in found for one in waiting)
        return now + UNKNOWN_S if unknown else state.not_before

    def _schedule(self, issuer: str, state: _Issuer) -> None:
        """The next renewal in the background."""
        if state.renewal is not None:
            state.renewal.cancel()
        seconds = _backoff(state.failures) if state.failures else RENEWAL_S
        seconds *= random.uniform(0.9, 1.1)  # not all workers of a fleet at once

        def renew() -> None:
            if state.fetching is None:
                self._start(issuer, state)

        state.renewal = asyncio.get_running_loop().call_later(seconds, renew)

    async def _fetch(self, issuer: str) -> dict[str, tuple[Jwk, ...]]:
        """OpenID Connect Discovery 1.0 §4, then the keys."""
        if self._documents is None:
            self._documents = await self._load()
        documents = self._documents
        address = f"{issuer.removesuffix('/')}/.well-known/openid-configuration"
        try:
            discovered = _DISCOVERY.decode(await documents.get(address))
        except (msgspec.MsgspecError, RecursionError) as why:
            raise NoDocument(f"{address}: not a discovery document: {why}") from None
        if discovered.issuer != issuer:
            # §4.3: else anybody's document would do for anybody's issuer.
            raise NoDocument(f"{address}: it is of the issuer {discovered.issuer!r}")
        uri = discovered.jwks_uri
        if issuer.startswith("https:") and not uri.startswith("https:"):
            raise NoDocument(f"{address}: jwks_uri is not https: {uri!r}")
        jwks = jwks_of(await documents.get(uri))
        if isinstance(jwks, str):
            raise NoDocument(f"{uri}: {jwks}")
        if not jwks:
            raise NoDocument(f"{uri}: it holds no key with an id")
        return jwks

    def _drop(self, issuer: str) -> None:
        state = self._issuers.pop(issuer)
        if state.renewal is not None:
            state.renewal.cancel()
        if state.fetching is not None:
            state.fetching.cancel()
        for waiting in state.waiting:
            waiting.tell(_unavailable("the issuer is not configured any more"))

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _backoff(failures: int) -> float:
    return min(FIRST_BACKOFF_S * 2.0 ** min(failures - 1, 10), MOST_BACKOFF_S)


def _unavailable(cause: str) -> Unavailable:
    return Unavailable(ErrorKind.AUTHORIZER_FAILURE, cause or "the keys are not known")
