"""Days and the periods of quotas, in UTC (AWS §7.2, design.md §7).

Called by stores, by pods whose store is away, and by reports of usage. Every period begins at a
midnight, so that usage by day adds up to usage by period.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal

Period = Literal["DAY", "WEEK", "MONTH"]

DAY_MS: Final = 86_400_000
_EPOCH: Final = dt.date(1970, 1, 1).toordinal()


def day_of(now_ms: float) -> int:
    """Days since 1970-01-01."""
    return int(now_ms // DAY_MS)


def date_of(day: int) -> dt.date:
    """The date of a day."""
    return dt.date.fromordinal(day + _EPOCH)


def day_from(date: dt.date) -> int:
    """The day of a date."""
    return date.toordinal() - _EPOCH


def start_of(period: Period, offset: int, day: int) -> int:
    """First day of the period that `day` lies in. `offset` is the day of the period on which it
    begins: weeks from Sunday, months from the first (WEEK 0-6, MONTH 0-27)."""
    match period:
        case "DAY":
            return day
        case "WEEK":
            # 1970-01-01 was a Thursday, four days after a Sunday.
            return day - (day + 4 - offset) % 7
        case "MONTH":
            date = date_of(day)
            if date.day <= offset:
                date = date.replace(day=1) - dt.timedelta(days=1)
            return day_from(date.replace(day=offset + 1))


def end_of(period: Period, offset: int, start: int) -> int:
    """First day of the period after the one that begins on `start`."""
    match period:
        case "DAY":
            return start + 1
        case "WEEK":
            return start + 7
        case "MONTH":
            return start_of(period, offset, start + 31)
