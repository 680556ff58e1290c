"""What is large and for few: imported when a unit needs it, beside the loop.

Called by `build.py` before it prepares routes. Promises: no import of half a second stops requests,
and who has no use for a module does not pay for its memory (design §6).
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Final

from portico_ir.access import JwtAuthorizer
from portico_ir.model import RoutesUnit

_TOKENS: Final = "portico_dataplane.policies.jwt"
_PEERS: Final = "portico_dataplane.effects.peer_certificate"


async def load_for(unit: RoutesUnit) -> None:
    """Import what the routes of a unit will ask for."""
    needed = {
        _TOKENS: any(isinstance(one, JwtAuthorizer) for one in unit.authorizers.values()),
        _PEERS: any(terms.any_authority for terms in unit.tls.values()),
    }
    for module, is_needed in needed.items():
        if is_needed and module not in sys.modules:
            await asyncio.to_thread(importlib.import_module, module)
