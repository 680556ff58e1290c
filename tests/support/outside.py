"""What outlives a Runtime, new and empty, for tests that build routes without a gateway."""

from __future__ import annotations

from portico_dataplane.core.authorizer_cache import AnswerCaches
from portico_dataplane.core.credentials import Directory
from portico_dataplane.core.key_counters import Counters
from portico_dataplane.core.keyring import Keyring
from portico_dataplane.core.leases import Leases
from portico_dataplane.core.tokens import TokenCache
from portico_dataplane.policies.registry import Outside


def outside() -> Outside:
    """One of each."""
    return Outside(Directory(), Keyring(), TokenCache(), AnswerCaches(), Counters(Leases()))
