"""What is large is imported when a unit needs it, and not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

STORY = """
import asyncio, sys
import portico_dataplane.app
from portico_dataplane.late_imports import load_for
from portico_ir.access import IdentitySource, JwtAuthorizer
from portico_ir.model import RoutesUnit, UpstreamTls
LARGE = ("portico_dataplane.policies.jwt", "portico_dataplane.effects.peer_certificate")
who = IdentitySource(place="header", name="authorization")
UNITS = {
    "plain": RoutesUnit(api="a", tls={"k": UpstreamTls(server_name="a")}),
    "tokens": RoutesUnit(
        api="a", authorizers={"w": JwtAuthorizer(name="w", issuers=("https://i",), source=who)}
    ),
    "peers": RoutesUnit(api="a", tls={"k": UpstreamTls(any_authority=True)}),
}
asyncio.run(load_for(UNITS[sys.argv[1]]))
print(*(name.rpartition(".")[2] for name in LARGE if name in sys.modules))
"""


@pytest.mark.parametrize(
    ("unit", "loaded"), [("plain", ""), ("tokens", "jwt"), ("peers", "peer_certificate")]
)
def test_what_is_loaded(unit: str, loaded: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", STORY, unit], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == loaded
