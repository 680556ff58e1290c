"""Descriptors: all that the system allows, three quarters of them for clients."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

ASK = """
import json, logging, resource, sys
from portico_dataplane.settings import Settings
from portico_dataplane.workers import descriptors
soft, hard, wanted = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
logging.basicConfig()
found = descriptors.fitting(Settings(max_connections=wanted, max_headers=7))
print(json.dumps([found.max_connections, found.max_headers, descriptors.most()]))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "expected"),
    [
        (100, 400, 300, [300, 7, 400]),
        (100, 400, 301, [300, 7, 400]),
        (400, 400, 20_000, [300, 7, 400]),
        (100, 400, 1, [1, 7, 400]),
    ],
)
def test_what_there_is_room_for(soft: int, hard: int, wanted: int, expected: list[int]) -> None:
    """In a process of its own: limits that are lowered stay lowered."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(soft), str(hard), str(wanted)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == expected
    assert ("fewer client connections" in done.stderr) == (expected[0] < wanted)
