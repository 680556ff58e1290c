"""A process whose clock is wrong: Unix time is off by `CLOCK_OFF_S` seconds.

On the import path of one of the benchmark's pods, and of nobody else. Monotonic time, by which
durations are measured, is right, as on a machine whose clock is set wrong.
"""

from __future__ import annotations

import os
import time

_OFF_S = float(os.environ.get("CLOCK_OFF_S", "0"))
_right, _right_ns = time.time, time.time_ns


def _time() -> float:
    return _right() + _OFF_S


def _time_ns() -> int:
    return _right_ns() + int(_OFF_S * 1e9)


time.time = _time
time.time_ns = _time_ns
