"""Values of keys: random, long enough, and good anywhere."""

from __future__ import annotations

import re

from portico_operator.key_values import random_value


def test_values_are_forty_letters_and_digits() -> None:
    values = {random_value() for _ in range(1000)}
    assert len(values) == 1000
    assert all(re.fullmatch("[A-Za-z0-9]{40}", value) for value in values)
    # Every character occurs: none of the alphabet is left out by mistake.
    assert len(set("".join(values))) == 62
