"""The numbers of the design."""

from __future__ import annotations

from portico_dataplane.feed.times import Times
from portico_dataplane.settings import Settings


def test_defaults_are_what_is_fixed() -> None:
    times = Times()
    assert (times.last_good_s, times.fallback_s) == (15.0, 10.0)
    settings = Settings()
    assert (settings.last_good_after_s, settings.fallback_after_s) == (15.0, 10.0)


def test_a_look_at_the_clock_is_shorter_than_what_it_is_for() -> None:
    times = Times()
    assert times.tick_s < min(times.last_good_s, times.fallback_s, times.lag_s, times.hung_s)
