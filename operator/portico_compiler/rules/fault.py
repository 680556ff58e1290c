"""What a rule yields, and the checks that several rules share.

Used by the other modules of this package.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from portico_compiler import quantities
from portico_compiler.manifests import shapes
from portico_compiler.problems import Reason


class Fault(NamedTuple):
    """A broken rule."""

    field: str
    """Path of the field that breaks it."""
    reason: Reason
    """INVALID_COMBINATION or INVALID_VALUE, mostly."""
    message: str
    """What to write instead."""


Faults = Iterator[Fault]
Rule = Callable[[Any], Faults]

COMBINATION = Reason.INVALID_COMBINATION
VALUE = Reason.INVALID_VALUE


def bounded_duration(
    field: str, text: str, least: int, most: int = quantities.MAX_DURATION_MS
) -> Faults:
    """Faults of a duration that must be within bounds, in milliseconds."""
    value = quantities.milliseconds(text)
    if value is None or value < least:
        yield Fault(field, VALUE, f"{text!r} is no time at all")
    elif value > most:
        yield Fault(field, VALUE, f"{text!r} is more than {most // 3_600_000}h")


def function_target(
    field: str, value: str | shapes.InlineFunction | shapes.FunctionEndpoint | None
) -> Faults:
    """Faults of a function that must say where it is invoked."""
    if value is None or isinstance(value, str):
        return
    if (value.service is None) == (value.url is None):
        yield Fault(field, COMBINATION, "has exactly one of service or url")


def regular_expression(field: str, text: str) -> Faults:
    """Faults of a text that must be a regular expression."""
    try:
        with warnings.catch_warnings():
            # Python warns of patterns that may change their meaning; Java's meaning is meant.
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as why:
        yield Fault(field, VALUE, f"{text!r} is not a regular expression: {why}")
