"""Tokens: what is decided here, what is asked, what is remembered and for how long."""

from __future__ import annotations

import asyncio
import time

import pytest

from portico_ir.secrets import Redacted
from portico_operator.delivery.access import (
    DENIAL_S,
    SUCCESS_S,
    Access,
    Denial,
    DenialReason,
    Grant,
    Review,
    Undecided,
)
from stream_operators import ACCOUNT, FakeGrounds, FakeReviewer, token_of


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.reviewer = FakeReviewer()
        self.grounds = FakeGrounds()
        self.access = Access(self.reviewer, self.grounds, self.clock)

    async def reason(self, token: str | None) -> str:
        verdict = await self.access.admit(None if token is None else Redacted(token))
        assert isinstance(verdict, Denial), verdict
        return verdict.reason


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_pod_of_the_class_is_admitted(bench: Bench) -> None:
    verdict = await bench.access.admit(Redacted(token_of("pod-7")))
    assert isinstance(verdict, Grant)
    assert verdict[:3] == ("portico", "pod-7", "pod-7")
    assert verdict.until == pytest.approx(bench.clock.now + SUCCESS_S)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (None, DenialReason.MISSING),
        ("", DenialReason.MISSING),
        ("a.b", DenialReason.MALFORMED),
        ("a.b.c", DenialReason.MALFORMED),
        ("a.bnVsbA.c", DenialReason.MALFORMED),
        ("a.e30.c", DenialReason.MALFORMED),
        ("ä.e30.c", DenialReason.MALFORMED),
        ("a." + "W1tb" * 3_000 + ".c", DenialReason.MALFORMED),
        ("a." + "x" * 20_000 + ".c", DenialReason.MALFORMED),
        (token_of(expires_in=-1), DenialReason.EXPIRED),
        (token_of(audience="https://kubernetes.default.svc"), DenialReason.AUDIENCE),
        (token_of(claims={"aud": "other"}), DenialReason.AUDIENCE),
        (token_of(account="system:serviceaccount:a:b"), DenialReason.SERVICE_ACCOUNT),
        (token_of(claims={"kubernetes.io": {}}), DenialReason.POD),
        (token_of("gone"), DenialReason.POD),
    ],
)
async def test_what_the_token_rules_out_is_not_asked(
    bench: Bench, token: str | None, reason: DenialReason
) -> None:
    bench.grounds.gone.add("gone")
    assert await bench.reason(token) == reason
    assert bench.reviewer.asked == 0
    assert bench.access.denials == {reason: 1}


async def test_a_denial_is_remembered_for_a_while(bench: Bench) -> None:
    bench.reviewer.denied.add("pod-1")
    token = token_of()
    assert await bench.reason(token) == DenialReason.REFUSED
    assert await bench.reason(token) == DenialReason.REFUSED
    assert bench.reviewer.asked == 1
    assert bench.access.denials["refused"] == 2
    bench.reviewer.denied.clear()
    bench.clock.now += DENIAL_S
    assert isinstance(await bench.access.admit(Redacted(token)), Grant)


async def test_a_success_lasts_five_minutes_or_as_long_as_the_token(bench: Bench) -> None:
    long, short = Redacted(token_of(serial=1)), Redacted(token_of(expires_in=60, serial=2))
    await bench.access.admit(long)
    await bench.access.admit(short)
    bench.clock.now += 50
    await bench.access.admit(long)
    await bench.access.admit(short)
    assert bench.reviewer.asked == 2
    bench.clock.now += 11
    assert await bench.reason(short.reveal()) == DenialReason.EXPIRED
    bench.clock.now += SUCCESS_S
    await bench.access.admit(long)
    assert bench.reviewer.asked == 3


async def test_an_admitted_pod_that_is_gone_is_refused_at_once(bench: Bench) -> None:
    token = token_of()
    await bench.access.admit(Redacted(token))
    bench.grounds.gone.add("pod-1")
    assert await bench.reason(token) == DenialReason.POD


async def test_a_fresh_answer_is_asked_for_and_remembered(bench: Bench) -> None:
    token = token_of()
    await bench.access.admit(Redacted(token))
    bench.reviewer.denied.add("pod-1")
    assert isinstance(await bench.access.admit(Redacted(token)), Grant)
    assert isinstance(await bench.access.admit(Redacted(token), in_stream=True), Denial)
    assert isinstance(await bench.access.admit(Redacted(token)), Denial)


async def test_an_api_server_out_of_reach_decides_nothing(bench: Bench) -> None:
    known, new = Redacted(token_of(serial=1)), Redacted(token_of(serial=2))
    await bench.access.admit(known)
    bench.reviewer.away = True
    assert isinstance(await bench.access.admit(new), Undecided)
    assert isinstance(await bench.access.admit(known, in_stream=True), Undecided)
    assert isinstance(await bench.access.admit(known), Grant), "what is known stays known"
    assert bench.access.denials == {}
    bench.reviewer.away = False
    assert isinstance(await bench.access.admit(new), Grant)


async def test_an_expired_token_ends_a_stream_by_the_api_servers_word_only(bench: Bench) -> None:
    token = Redacted(token_of(expires_in=60))
    await bench.access.admit(token)
    bench.clock.now += 61
    bench.reviewer.away = True
    assert isinstance(await bench.access.admit(token, in_stream=True), Undecided)
    assert isinstance(await bench.access.admit(token), Denial), "another stream needs a good one"
    bench.reviewer.away = False
    bench.reviewer.denied.add("pod-1")
    assert isinstance(await bench.access.admit(token, in_stream=True), Denial)


async def test_many_questions_at_once_are_one_review(bench: Bench) -> None:
    token = Redacted(token_of())
    await asyncio.gather(*(bench.access.admit(token) for _ in range(50)))
    assert bench.reviewer.asked == 1
    assert bench.access._locks == {}


@pytest.mark.parametrize(
    ("review", "reason"),
    [
        (Review(True, ACCOUNT, (), "pod-1", "pod-1"), DenialReason.AUDIENCE),
        (Review(True, ACCOUNT, ("other",), "pod-1", "pod-1"), DenialReason.AUDIENCE),
        (Review(True, "kubernetes-admin", ("portico-operator",)), DenialReason.SERVICE_ACCOUNT),
        (Review(True, ACCOUNT, ("portico-operator",)), DenialReason.POD),
        (Review(True, ACCOUNT, ("portico-operator",), "gone", "g"), DenialReason.POD),
    ],
)
async def test_the_review_is_believed_and_not_the_token(
    bench: Bench, review: Review, reason: DenialReason
) -> None:
    bench.grounds.gone.add("gone")

    async def answer(token: Redacted, audience: str) -> Review:
        return review

    bench.reviewer.review = answer  # type: ignore[method-assign]
    assert await bench.reason(token_of()) == reason


async def test_what_is_remembered_is_bounded(bench: Bench) -> None:
    bench.reviewer.denied.add("pod-1")
    for serial in range(5_000):
        await bench.access.admit(Redacted(token_of(serial=serial)))
    assert len(bench.access._remembered) <= 4_096
