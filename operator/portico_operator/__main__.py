"""`python -m portico_operator`: one replica of the control plane, until SIGTERM or SIGINT.

Called by the image's entrypoint. Exit codes: 0 asked to end, 1 a port or the cluster's
credentials cannot be had, 2 wrong usage. Promises: no traceback for what a user did.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from portico_operator import log
from portico_operator.app import App
from portico_operator.cluster.client import Credentials, NotACluster, find_credentials
from portico_operator.settings import OperatorSettings, read

_log = logging.getLogger(__name__)

SWITCH_S = 0.001
"""How long a thread keeps the interpreter while another waits for it. An edit goes from kopf's
thread to the loop, to a compile in a thread and back; at Python's 5 ms each step may take that."""


def main() -> int:
    """The process's exit code."""
    settings = read(sys.argv[1:])
    log.configure(settings.log)
    sys.setswitchinterval(SWITCH_S)
    try:
        credentials = find_credentials(settings.kubeconfig)
    except NotACluster as why:
        _log.error("%s", why)
        return 1
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    try:
        asyncio.run(_run(settings, credentials))
    except OSError as why:
        _log.error("cannot listen: %s", why)
        return 1
    return 0


async def _run(settings: OperatorSettings, credentials: Credentials) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    async with App(settings, credentials) as app:
        _log.info(
            "started",
            extra={
                "streamPort": app.stream_port,
                "adminPort": app.admin_port,
                "usagePort": app.usage_port,
            },
        )
        await asked.wait()
        _log.info("ending")


if __name__ == "__main__":
    raise SystemExit(main())
