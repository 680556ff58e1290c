"""What `make bench-accuracy` does to three data planes, and what design.md §7 states about it.

Each scenario takes the bed with a store in use and gives rows. Pods get uneven shares of the load.
What a pod that dies has not reported, and what was asked of it when it died, is beyond counting:
where one is killed, the bounds leave room for that and say so.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from accuracy.bed import CONNECTIONS, PODS, WORKERS, Bed
from accuracy.measures import Answers, Row, exactly, within
from portico_ir.ledger import TERM_MS
from portico_processes import DidNotHappen, wait_until

Scenario = Callable[[Bed, float], list[Row]]
QUOTA = 10_000
RATE, BURST = 500, 100
UNEVEN = {"pod-0": 500.0, "pod-1": 200.0, "pod-2": 100.0}
"""Requests a second,"""
TOGETHER = 800.0
"""which are so many."""
TERM_S = TERM_MS / 1000
NOTICE_S = 1.5
"""To hear that a lease has come back, or that a store has, on a machine with other work."""
WORKER_LEASE = 8.0
"""Tokens a worker asks for at least."""


def quota(bed: Bed, scale: float) -> list[Row]:
    """Uneven load until it is used up, and on."""
    limit = int(QUOTA * scale)
    plan = bed.plan(limit)
    answers = bed.load("/keyed", UNEVEN, limit / TOGETHER + 4, key=plan)
    return [
        _checked(exactly("quota, uneven load", answers, limit), answers),
        _counted(bed, plan, answers),
    ]


def bucket(bed: Bed, scale: float) -> list[Row]:
    """Uneven load, more than it takes in, for a minute."""
    answers = bed.load("/bucket", UNEVEN, 60 * scale)
    return [_checked(within("bucket, uneven load", answers, RATE, BURST), answers)]


def hot(bed: Bed, scale: float) -> list[Row]:
    """One pod gets all the load, then another one."""
    rows = []
    for pod in PODS[:2]:
        time.sleep(TERM_S)  # the others' shares go back
        answers = bed.load("/bucket", {pod: TOGETHER}, 20 * scale)
        rows.append(_checked(within(f"bucket, all on {pod}", answers, RATE, BURST), answers))
    return rows


def store_away_keep(bed: Bed, scale: float) -> list[Row]:
    """Killed and restarted under load, having lost everything; pods live on their last shares."""
    bed.use(bed.store, failure="Keep")
    limit = int(QUOTA * scale)
    plan = bed.plan(limit)
    gone: list[float] = []
    act = _away(bed, gone, 3 * scale, 6 * scale, lost=True)
    answers = bed.load("/keyed", UNEVEN, limit / TOGETHER, key=plan, act=act, after=6)
    rows = [_checked(exactly("quota, store lost, Keep", answers, limit), answers)]
    left = limit - answers.passed(0, gone[0]) - TOGETHER
    meanwhile = answers.asked(*gone[:2])
    rows.append(
        Row(
            "served meanwhile, Keep",
            value=answers.passed(*gone[:2]),
            low=0.8 * min(left, meanwhile),
            high=meanwhile,
        )
    )
    rows.append(_counted(bed, plan, answers))
    for lost in (False, True):
        act = _away(bed, [], 2 + 2 * scale, 8 * scale, lost=lost)
        answers = bed.load("/bucket", UNEVEN, max(10, 24 * scale), act=act, after=6)
        name = f"bucket, store {'lost' if lost else 'away'}, Keep"
        rows.append(_checked(within(name, answers, RATE, BURST), answers))
    return rows


def store_away_refuse(bed: Bed, scale: float) -> list[Row]:
    """Killed and restarted where nobody may pass without the store's word."""
    bed.use(bed.store, failure="Refuse")
    try:
        limit = int(QUOTA * scale)
        plan = bed.plan(limit)
        gone: list[float] = []
        act = _away(bed, gone, 3 * scale, 6)
        after = limit / TOGETHER + 4
        answers = bed.load("/keyed", UNEVEN, 0, key=plan, act=act, after=after)
        rows = [_checked(exactly("quota, store away, Refuse", answers, limit), answers)]
        rows[0].detail["s until served again"] = answers.first_passed(gone[1])
        began = gone[0] + TERM_S + NOTICE_S
        rows.append(
            Row("served when leases had run out, Refuse", value=answers.passed(began, gone[1]))
        )
        rows.append(_counted(bed, plan, answers))
        back: list[float] = []
        answers = bed.load("/bucket", UNEVEN, 0, act=_away(bed, back, 4, 6), after=12)
    finally:
        bed.use(bed.store, failure="Keep")
    rows.append(_checked(_after("bucket, store was away, Refuse", answers, back[2], RATE), answers))
    return rows


def pod_killed(bed: Bed, scale: float) -> list[Row]:
    """Killed with leases out, when others need them; another one takes its place."""
    limit = int(QUOTA * scale)
    plan = bed.plan(limit)
    victim, rate = PODS[1], UNEVEN[PODS[1]]
    killed: list[float] = []

    def kill() -> None:
        began = time.monotonic()
        time.sleep(limit / TOGETHER - 1)
        bed.fleet.pods[victim].kill()
        killed.append(time.monotonic() - began)

    answers = bed.load("/keyed", UNEVEN, 0, key=plan, act=kill, after=8)
    bed.replace_pod(victim)
    row = _checked(exactly("quota, a pod killed", answers, limit, lost=CONNECTIONS), answers)
    row.high = limit + max(limit / 100, rate, WORKERS * WORKER_LEASE)
    row.note = f"its last {rate:g} requests may be missing"
    back = Row(
        "its leases were spent by others after",
        value=answers.last_passed() - killed[0],
        high=TERM_S + NOTICE_S,
        unit="s",
    )
    return [row, back, _counted(bed, plan, answers, lost=rate)]


def clock_off(bed: Bed, scale: float) -> list[Row]:
    """One pod's clock is five seconds ahead."""
    bed.replace_pod(PODS[1], clock_s=5.0)
    try:
        limit = int(QUOTA * scale)
        plan = bed.plan(limit)
        answers = bed.load("/keyed", UNEVEN, limit / TOGETHER + 4, key=plan)
        rows = [_checked(exactly("quota, a clock 5 s off", answers, limit), answers)]
        rows += [_counted(bed, plan, answers)]
        answers = bed.load("/bucket", UNEVEN, 20 * scale)
        rows.append(_checked(within("bucket, a clock 5 s off", answers, RATE, BURST), answers))
    finally:
        bed.replace_pod(PODS[1])
    return rows


def plan_changed(bed: Bed, scale: float) -> list[Row]:
    """Quotas that are raised once they are used up, and lowered before, under load."""
    limit = int(QUOTA * scale) // 2
    rows = []
    for name, first, after in (("raised", limit, 3.0), ("lowered", 4 * limit, 1.0 - limit / 800)):
        plan = bed.plan(first)
        wait = limit / TOGETHER + after

        def change(plan: str = plan, wait: float = wait) -> None:
            time.sleep(wait)
            bed.served(lambda: bed.set_plan(plan, 2 * limit))

        answers = bed.load(
            "/keyed", UNEVEN, 2 * limit / TOGETHER + 4, key=plan, act=change, after=6
        )
        row = exactly(f"quota, {name} under load", answers, 2 * limit)
        rows += [_checked(row, answers), _counted(bed, plan, answers)]
    return [*rows, _bucket_lowered(bed)]


def _bucket_lowered(bed: Bed) -> Row:
    changed: list[float] = []

    def lower() -> None:
        began = time.monotonic()
        time.sleep(4)
        bed.set_bucket(RATE / 5, BURST // 5)
        changed.append(time.monotonic() - began)

    try:
        answers = bed.load("/bucket", UNEVEN, 0, act=lower, after=14)
    finally:
        bed.set_bucket(RATE, BURST)
    return _checked(_after("bucket, lowered under load", answers, changed[0], RATE / 5), answers)


def operations(bed: Bed, scale: float) -> list[Row]:
    """What it costs a Redis at as many requests as the machine can."""
    if bed.store != "redis":
        return []
    plan = bed.plan(10**9, throttle={"rateLimit": 1_000_000, "burstLimit": 1_000_000})
    before = bed.redis.operations()
    seconds = 15 * scale
    answers = bed.load("/all", dict.fromkeys(PODS, 0.0), seconds, key=plan)
    done = bed.redis.operations() - before
    row = Row(
        "operations per 100 requests",
        value=100 * done / max(1, len(answers.all)),
        high=1.0,
        unit="operations",
        detail={"requests/s": len(answers.all) / seconds, "operations/s": done / seconds},
    )
    return [_checked(row, answers)]


SCENARIOS: dict[str, Scenario] = {
    "quota": quota,
    "bucket": bucket,
    "hot": hot,
    "away-keep": store_away_keep,
    "away-refuse": store_away_refuse,
    "pod-killed": pod_killed,
    "clock": clock_off,
    "changed": plan_changed,
    "operations": operations,
}

QUICK = ("quota", "bucket", "away-keep", "operations")
"""What can be done in a minute or two."""


def _away(
    bed: Bed, gone: list[float], after: float, seconds: float, *, lost: bool = False
) -> Callable[[], None]:
    """Kills the store after a while, and restarts it; notes when that was, from the beginning:
    killed, started again, answering again."""

    def act() -> None:
        began = time.monotonic()
        time.sleep(after)
        bed.kill_store(lost=lost)
        gone.append(time.monotonic() - began)
        time.sleep(seconds)
        gone.append(time.monotonic() - began)
        bed.restart_store()
        gone.append(time.monotonic() - began)

    return act


def _after(name: str, answers: Answers, event: float, rate: float) -> Row:
    """What a bucket gave once everybody had heard of an event."""
    begin = event + NOTICE_S
    wanted = rate * (answers.seconds - begin)
    return Row(
        f"{name}, from {NOTICE_S} s after",
        value=answers.passed(begin),
        low=wanted * 0.98,
        high=wanted * 1.02 + 1,
        detail={"of seconds": answers.seconds - begin},
    )


def _counted(bed: Bed, plan: str, answers: Answers, *, lost: float = 0) -> Row:
    """What is reported of a plan is what was served."""
    served = answers.passed()
    row = Row("usage that is reported", low=served - lost, high=served + answers.of(0))

    def reported() -> bool:
        row.value = bed.usage(plan)
        return row.passed

    with contextlib.suppress(DidNotHappen):
        wait_until(reported, f"the usage of {plan}", 15)
    return row


def _checked(row: Row, answers: Answers) -> Row:
    if strange := [status for status in answers.strange() if status]:
        row.value, row.note = None, f"answers {strange}"
    return row
