"""How each service of the example starts: its own port on loopback, until it is told to stop."""

from __future__ import annotations

import argparse

from aiohttp import web


def serve(app: web.Application, description: str) -> None:
    """Serve until SIGTERM or Ctrl-C. The port comes from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    web.run_app(app, host=options.host, port=options.port, print=None, access_log=None)
