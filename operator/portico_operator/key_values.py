"""Values of API keys: random, and the same wherever they are made.

Called by `mint`, and by `portico keys create`. Promises: nobody can guess one; each can stand in a
header, a URL and a shell without quotes.
"""

from __future__ import annotations

import secrets
import string
from typing import Final

ALPHABET: Final = string.ascii_letters + string.digits
LENGTH: Final = 40
"""AWS §7.1: 20 to 128."""


def random_value() -> str:
    """Forty letters and digits: 238 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
