"""Operator to data plane, both as they run: stream server over TLS, pods as processes of their own.

What is acknowledged is asked of the pods themselves, with a request, at that moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fake_upstreams import echo
from gateway_process import HOST, GatewayProcess, fetch, shop
from operators import CLASS, Operator, authority, token_of, write_token
from portico_ir import codec
from portico_ir.model import Endpoint, EndpointSet, HttpProxy, Manifest, ServiceTarget, Snapshot

CA = authority()
UPSTREAM = "default/pets:80"


def snapshot(upstream: str, *paths: str, mark: int = 1, **more: Any) -> Snapshot:
    """`shop` as an operator publishes it."""
    made = codec.decode_snapshot(shop(upstream, *paths, **more))
    return msgspec.structs.replace(
        made, manifest=msgspec.structs.replace(made.manifest, marks={"Route": str(mark)})
    )
