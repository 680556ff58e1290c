"""`portico digest`: what an ApiDeployment of the files' API would hold, as one line.

Called by `main`. Promises: the line is what `expectedDigest` takes, and what the operator computes
once the same manifests are applied; exit code 1 and no digest when there is nothing to deploy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from portico_cli import states
from portico_cli.render import Printer


def run(paths: Sequence[str], api: str | None) -> int:
    """Print the digest and return the exit code."""
    state = states.current(paths, api, Printer(sys.stderr))
    if state is None:
        return 1
    Printer().line(f"sha256:{state.captured.digest}")
    return 0
