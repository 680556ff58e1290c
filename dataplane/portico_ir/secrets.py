"""Redacted: a secret that never shows itself.

Every secret of the contract has this type from decode on, so that no repr, log line, dump
or exception can hold one by accident; `reveal()` is what a reviewer greps for.
"""

from __future__ import annotations

from typing import Any

SHOWN = "[redacted]"


class Redacted:
    """A text that prints as `[redacted]`; equality compares contents."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return SHOWN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(SHOWN, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Redacted) and other._value == self._value

    def __hash__(self) -> int:
        return hash(("Redacted", self._value))

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled")
