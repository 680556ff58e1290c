"""Usage by plan, key and day, and the report of it in AWS's shape."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from portico_ir.access import Quota
from portico_ir.periods import day_from
from portico_ir.usage import KEPT_DAYS, Usage, dates, encode, read, report

TODAY = dt.date(2026, 11, 23)
NOW = day_from(TODAY)


def usage() -> Usage:
    found = Usage()
    for back, requests in ((0, 5), (1, 7), (2, 11), (30, 13)):
        found.add("plan", "key", NOW - back, requests)
    found.add("plan", "other", NOW, 1)
    found.add("elsewhere", "key", NOW, 100)
    return found


def test_counts_add_up() -> None:
    found = usage()
    found.add("plan", "key", NOW, 2)
    assert found.of("plan", "key", NOW, NOW + 1) == 7
    assert found.of("plan", "key", NOW - 2, NOW) == 18
    assert found.of("plan", "nobody", NOW - 9, NOW + 1) == 0
    assert found.of("nothing", "key", NOW - 9, NOW + 1) == 0
    assert found.total("plan", NOW - 1, NOW + 1) == 15
    assert found.by_key("plan", NOW - 1, NOW + 1) == {
        "key": {NOW: 7, NOW - 1: 7},
        "other": {NOW: 1},
    }
    assert found.on(NOW) == {"plan": {"key": 7, "other": 1}, "elsewhere": {"key": 100}}


def test_what_nobody_may_ask_for_is_forgotten() -> None:
    found = usage()
    found.forget(NOW + KEPT_DAYS - 1)
    assert found.by_key("plan", 0, NOW + 1) == {"key": {NOW: 5, NOW - 1: 7}, "other": {NOW: 1}}
    found.forget(NOW + 2 * KEPT_DAYS)
    assert found.on(NOW) == {}


def told(quota: Quota | None, extra: dict[str, int], back: int) -> dict[str, list[list[int]]]:
    by_key = usage().by_key("plan", NOW - 40, NOW + 1)
    start = TODAY - dt.timedelta(days=back)
    return report("plan", by_key, quota, extra, start, TODAY, NOW).items


def test_a_report_has_a_pair_for_each_day() -> None:
    assert told(None, {}, 2)["key"] == [[11, -1], [7, -1], [5, -1]]
    daily = told(Quota(limit=10, period="DAY"), {}, 2)
    assert daily == {
        "key": [[11, 0], [7, 3], [5, 5]],
        "other": [[0, 10], [0, 10], [1, 9]],
    }


def test_what_remains_is_of_the_period_up_to_that_day() -> None:
    # The 23rd is a Monday: its week began on the 22nd.
    weekly = told(Quota(limit=20, period="WEEK"), {}, 2)["key"]
    assert weekly == [[11, 9], [7, 13], [5, 8]]
    monthly = told(Quota(limit=100, period="MONTH"), {}, 1)["key"]
    assert monthly == [[7, 82], [5, 77]]


def test_an_extension_holds_in_the_present_period_only() -> None:
    weekly = told(Quota(limit=20, period="WEEK"), {"key": 100}, 2)["key"]
    assert weekly == [[11, 9], [7, 113], [5, 108]]
    assert told(Quota(limit=1, period="DAY"), {"key": -1}, 0)["key"] == [[5, 0]]


def test_the_shape_is_aws_s() -> None:
    found = report("p1", {"k": {NOW: 3}}, Quota(limit=5, period="DAY"), {}, TODAY, TODAY, NOW)
    assert msgspec.json.decode(msgspec.json.encode(found)) == {
        "usagePlanId": "p1",
        "startDate": "2026-11-23",
        "endDate": "2026-11-23",
        "items": {"k": [[3, 2]]},
    }


def test_dates() -> None:
    assert dates("2026-11-01", "2026-11-23") == (dt.date(2026, 11, 1), TODAY)
    assert dates("2026-11-23", "2026-11-23") == (TODAY, TODAY)


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        ("yesterday", "2026-11-23", "must be dates such as"),
        ("2026-11-31", "2026-12-01", "must be dates"),
        ("2026-11-23", "2026-11-22", "is before"),
        ("2026-01-01", "2026-11-22", "more than 90 days"),
    ],
)
def test_wrong_dates(start: str, end: str, why: str) -> None:
    found = dates(start, end)
    assert isinstance(found, str)
    assert why in found


def test_a_report_that_came_as_json_is_read() -> None:
    found = report("p1", {"k": {NOW: 3}}, None, {}, TODAY, TODAY, NOW)
    assert read(msgspec.json.decode(encode(found))) == found
    with pytest.raises(ValueError, match="startDate"):
        read({"usagePlanId": "p", "endDate": "2026-11-01", "items": {}})
