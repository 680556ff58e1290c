"""Keys of issuers: one fetch for all who wait, bounded, renewed, and forgotten in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oidc_issuer import DISCOVERY, JWKS, OidcIssuer, public_jwk
from portico_dataplane.core.egress import EgressPolicy
from portico_dataplane.core.keyring import Keyring, KeySet
from portico_dataplane.core.verdicts import FetchKeys, Unavailable
from portico_dataplane.effects import documents as documents_module
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.effects.documents import Documents
from portico_dataplane.effects.keysets import (
    LIFE_S,
    RENEWAL_S,
    UNKNOWN_S,
    KeySets,
    NoDocument,
    Waiting,
)
from portico_ir.errors import ErrorKind

ISSUER = "https://issuer.example/tenant"
START = 1_700_000_000.0
Found = KeySet | Unavailable


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is."""
    monkeypatch.setattr(documents_module, "BUDGET_S", 20.0)


class Clock:
    """The loop's time and the wall's, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self.passed = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self.passed)

    def wall(self) -> float:
        return START + self.passed

    async def advance(self, seconds: float) -> None:
        self.passed += seconds
        await turns()


async def turns() -> None:
    """Let everything run that can run without the world outside."""
    for _ in range(20):
        await asyncio.sleep(0)


class Source:
    """Documents without a network: what an issuer serves, and when."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [public_jwk("k1")]
        self.fault = ""
        self.gate: asyncio.Event | None = None
        self.asked: list[str] = []

    @property
    def fetches(self) -> int:
        return sum(not address.endswith(DISCOVERY) for address in self.asked)

    async def get(self, address: str) -> bytes:
        self.asked.append(address)
        if self.gate is not None:
            await self.gate.wait()
        if self.fault:
            raise NoDocument(self.fault)
        if address.endswith(DISCOVERY):
            said: Any = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}{JWKS}"}
        else:
            said = {"keys": self.keys}
        return json.dumps(said).encode()


class Desk:
    """KeySets and who asks them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock(monkeypatch)
        self.source = Source()
        self.loads = 0
        self.ring = Keyring()
        self.sets = KeySets(self.ring, self._load, clock=self.clock.wall)
        self.sets.retain({ISSUER})

    async def _load(self) -> Source:
        self.loads += 1
        return self.source

    def ask(self, key_id: str = "k1") -> tuple[list[Found], Waiting]:
        told: list[Found] = []
        return told, self.sets.find(FetchKeys(ISSUER, key_id), told.append)

    async def answer(self, key_id: str = "k1") -> Found:
        told, _ = self.ask(key_id)
        await turns()
        (only,) = told
        return only


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(monkeypatch)


@pytest.fixture(autouse=True)
async def nothing_is_left(desk: Desk) -> Any:
    yield
    desk.sets.close()
    await turns()


def known(found: Found) -> set[str]:
    assert isinstance(found, KeySet), found
    return set(found.jwks)


# --- one fetch for all ----------------------------------------------------------------------


async def test_keys_are_discovered_then_fetched(desk: Desk) -> None:
    assert known(await desk.answer()) == {"k1"}
    assert desk.source.asked == [f"{ISSUER}{DISCOVERY}", f"{ISSUER}{JWKS}"]
    held = desk.ring.keys(ISSUER, int(START * 1000))
    assert held is not None
    assert held.until_ms == int((START + LIFE_S) * 1000)


async def test_who_asks_for_a_known_key_is_told_at_once(desk: Desk) -> None:
    await desk.answer()
    told, waiting = desk.ask()
    assert known(told[0]) == {"k1"}
    assert not waiting.pending
    assert desk.source.fetches == 1


async def test_all_who_wait_cause_one_fetch(desk: Desk) -> None:
    desk.source.gate = asyncio.Event()
    asked = [desk.ask(f"k{number % 3}") for number in range(60)]
    await turns()
    assert all(waiting.pending for _, waiting in asked)
    desk.source.gate.set()
    await turns()
    assert [len(told) for told, _ in asked] == [1] * 60
    assert desk.source.fetches == 1
    assert desk.loads == 1


async def test_who_left_is_not_told(desk: Desk) -> None:
    desk.source.gate = asyncio.Event()
    told, waiting = desk.ask()
    other, _ = desk.ask()
    waiting.end()
    desk.source.gate.set()
    await turns()
    assert told == []
    assert len(other) == 1


async def test_a_bug_of_one_is_not_that_of_others(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.source.gate = asyncio.Event()

    def fail(_: Found) -> None:
        raise RuntimeError("a bug")

    desk.sets.find(FetchKeys(ISSUER, "k1"), fail)
    told, _ = desk.ask()
    desk.source.gate.set()
    await turns()
    assert known(told[0]) == {"k1"}
    assert "a bug" in caplog.text


# --- unknown keys ---------------------------------------------------------------------------


async def test_a_rotated_key_is_found_at_once(desk: Desk) -> None:
    for name in ("k1", "k2", "k3"):
        desk.source.keys = [public_jwk(name)]
        assert known(await desk.answer(name)) == {name}
    assert desk.source.fetches == 3


async def test_made_up_keys_cause_one_fetch_a_minute(desk: Desk) -> None:
    await desk.answer()
    for number in range(200):
        assert known(await desk.answer(f"made-up-{number}")) == {"k1"}
    assert desk.source.fetches == 2
    await desk.clock.advance(UNKNOWN_S - 1)
    await desk.answer("made-up")
    assert desk.source.fetches == 2
    await desk.clock.advance(2)
    for number in range(50):
        await desk.answer(f"made-up-{number}")
    assert desk.source.fetches == 3


async def test_a_flood_from_the_start_causes_one_fetch(desk: Desk) -> None:
    for number in range(50):
        await desk.answer(f"made-up-{number}")
    assert desk.source.fetches == 1
    assert known(await desk.answer("k1")) == {"k1"}
    assert desk.source.fetches == 1


# --- failures -------------------------------------------------------------------------------


async def test_an_issuer_that_fails_is_asked_again_after_growing_whiles(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.source.fault = "it burns"
    for _ in range(120):
        for _ in range(5):
            found = await desk.answer()
            assert found == Unavailable(ErrorKind.AUTHORIZER_FAILURE, "it burns")
        await desk.clock.advance(0.5)
    # After 1, 2, 4, 8, 16 and 32 s, give or take a tenth, whoever wants to know.
    assert 5 <= len(desk.source.asked) <= 8
    assert "it burns" in caplog.text
    assert ISSUER in caplog.text


async def test_an_issuer_that_recovers_serves_again(desk: Desk) -> None:
    desk.source.fault = "it burns"
    assert isinstance(await desk.answer(), Unavailable)
    desk.source.fault = ""
    assert isinstance(await desk.answer(), Unavailable), "not asked again so soon"
    await desk.clock.advance(1.2)
    assert known(await desk.answer()) == {"k1"}


async def test_nobody_waits_for_a_load_that_fails(desk: Desk, monkeypatch: Any) -> None:
    async def fail() -> Source:
        raise OSError("no such library")

    monkeypatch.setattr(desk.sets, "_load", fail)
    assert isinstance(await desk.answer(), Unavailable)


async def test_an_unknown_key_of_a_failing_issuer_is_no_verdict(desk: Desk) -> None:
    """The key may well exist: who has it must not be told that it does not."""
    await desk.answer()
    desk.source.fault = "it burns"
    assert isinstance(await desk.answer("k2"), Unavailable)
    assert isinstance(await desk.answer("k2"), Unavailable)
    assert known(await desk.answer("k1")) == {"k1"}


# --- renewal --------------------------------------------------------------------------------


async def test_keys_are_renewed_in_the_background(desk: Desk) -> None:
    await desk.answer()
    desk.source.keys = [public_jwk("k2")]
    await desk.clock.advance(RENEWAL_S * 0.85)
    assert desk.source.fetches == 1
    await desk.clock.advance(RENEWAL_S * 0.3)
    assert desk.source.fetches == 2
    held = desk.ring.keys(ISSUER, int(desk.clock.wall() * 1000))
    assert held is not None
    assert set(held.jwks) == {"k2"}


async def test_keys_serve_on_while_renewing_them_fails_but_not_for_ever(desk: Desk) -> None:
    await desk.answer()
    desk.source.fault = "it burns"
    for _ in range(7):
        await desk.clock.advance(LIFE_S / 8)
        assert known(await desk.answer()) == {"k1"}
    assert desk.source.fetches == 1
    assert len(desk.source.asked) > 5
    await desk.clock.advance(LIFE_S / 8 + 1)
    assert isinstance(await desk.answer(), Unavailable)
    desk.source.fault = ""
    await desk.clock.advance(70)
    assert known(await desk.answer()) == {"k1"}


async def test_renewing_changes_nothing_about_made_up_keys(desk: Desk) -> None:
    await desk.answer()
    await desk.answer("made-up")
    fetches = desk.source.fetches
    await desk.clock.advance(5)
    await desk.answer("made-up")
    assert desk.source.fetches == fetches


# --- configuration --------------------------------------------------------------------------


async def test_what_is_not_configured_is_not_asked(desk: Desk) -> None:
    told: list[Found] = []
    desk.sets.find(FetchKeys("https://other.example", "k1"), told.append)
    await turns()
    assert isinstance(told[0], Unavailable)
    assert desk.source.asked == []


async def test_an_issuer_that_is_no_longer_configured_is_forgotten(desk: Desk) -> None:
    await desk.answer()
    desk.sets.retain(set())
    assert desk.ring.keys(ISSUER, 0) is None
    await desk.clock.advance(RENEWAL_S * 2)
    assert desk.source.fetches == 1
    assert isinstance(await desk.answer(), Unavailable)


async def test_who_waits_for_a_forgotten_issuer_is_told(desk: Desk) -> None:
    desk.source.gate = asyncio.Event()
    told, _ = desk.ask()
    await turns()
    desk.sets.retain(set())
    await turns()
    assert isinstance(told[0], Unavailable)


async def test_a_new_configuration_keeps_what_is_known(desk: Desk) -> None:
    await desk.answer()
    desk.sets.retain({ISSUER, "https://other.example"})
    assert known(await desk.answer()) == {"k1"}
    assert desk.source.fetches == 1


# --- a real issuer --------------------------------------------------------------------------


@pytest.fixture
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as served:
        yield served


async def asked(
    issuer: OidcIssuer, allow: tuple[str, ...] = ("127.0.0.1/32",), key_id: str = "k1"
) -> Found:
    """What one request learns about an issuer, with everything real."""

    async def load() -> Documents:
        return Documents(Dialer(EgressPolicy(allow)))

    sets = KeySets(Keyring(), load)
    sets.retain({issuer.url})
    answer: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
    sets.find(FetchKeys(issuer.url, key_id), answer.set_result)
    try:
        return await answer
    finally:
        sets.close()


async def test_a_real_issuer(issuer: OidcIssuer) -> None:
    assert known(await asked(issuer)) == {"k1"}


async def test_an_issuer_with_a_path() -> None:
    """OpenID Discovery §4.1: a last slash of the issuer is left out of the address."""
    for path in ("/tenant", "/tenant/"):
        with OidcIssuer(path) as issuer:
            assert issuer.url.endswith(path)
            assert known(await asked(issuer)) == {"k1"}
            assert issuer.asked[0] == f"/tenant{DISCOVERY}"


async def test_a_redirect_is_followed(issuer: OidcIssuer) -> None:
    issuer.redirect("/elsewhere")
    issuer.answers["/elsewhere"] = issuer._document(JWKS)
    assert known(await asked(issuer)) == {"k1"}


@pytest.mark.parametrize(
    ("arrange", "fault"),
    [
        (lambda i: i.fail(DISCOVERY), "status 500"),
        (lambda i: i.fail(JWKS), "status 500"),
        (lambda i: i.fail(JWKS, status=404), "status 404"),
        (lambda i: i.fail(JWKS, status=200, body=b"<html>"), "not a JSON object"),
        (lambda i: i.fail(JWKS, status=200, body=b'{"keys": []}'), "no key with an id"),
        (lambda i: i.fail(JWKS, status=200, body=b" " * 150_001), "more than 150000 bytes"),
        (lambda i: i.fail(DISCOVERY, status=200, body=b"{}"), "not a discovery document"),
        (lambda i: i.fail(DISCOVERY, status=200, body=b"[" * 99_999), "not a discovery document"),
        (lambda i: i.discovery.update(issuer="https://evil.example"), "is of the issuer"),
        (lambda i: i.discovery.update(issuer=i.url + "/"), "is of the issuer"),
        (lambda i: i.discovery.update(jwks_uri="file:///etc/passwd"), "not an address"),
        (lambda i: i.discovery.update(jwks_uri="//"), "not an address"),
        (lambda i: i.discovery.update(jwks_uri="http://a:b@127.0.0.1/"), "with credentials"),
        (lambda i: i.redirect("http://127.0.0.2:1/keys"), "127.0.0.2 is a loopback address"),
        (lambda i: i.redirect("http://[::1]:1/keys"), "::1 is a loopback address"),
        (lambda i: i.redirect("http://169.254.169.254/latest"), "cloud metadata"),
        (lambda i: i.redirect("http://10.0.0.1/keys"), "private address"),
        (lambda i: i.redirect("gopher://127.0.0.1/"), "not an address"),
        (lambda i: i.redirect(JWKS), "more than 3 redirects"),
        (lambda i: i.redirect(""), "a redirect to nowhere"),
        (lambda i: i.discovery.update(jwks_uri="http://10.0.0.1/keys"), "private address"),
    ],
)
async def test_a_bad_issuer(
    issuer: OidcIssuer, arrange: Callable[[OidcIssuer], Any], fault: str
) -> None:
    arrange(issuer)
    found = await asked(issuer)
    assert isinstance(found, Unavailable)
    assert found.kind is ErrorKind.AUTHORIZER_FAILURE
    assert fault in found.cause


async def test_an_issuer_that_may_not_be_reached(issuer: OidcIssuer) -> None:
    found = await asked(issuer, allow=())
    assert isinstance(found, Unavailable)
    assert "loopback" in found.cause
    assert issuer.asked == []


@pytest.mark.parametrize("path", [DISCOVERY, JWKS])
async def test_a_slow_issuer(
    issuer: OidcIssuer, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents_module, "BUDGET_S", 0.2)
    issuer.hang(path)
    found = await asked(issuer)
    assert isinstance(found, Unavailable)
    assert "no answer within" in found.cause


async def test_an_issuer_that_is_not_there() -> None:
    with OidcIssuer() as gone:
        pass
    found = await asked(gone)
    assert isinstance(found, Unavailable)
    assert "not connected" in found.cause
