"""Whoever answers at an admin port: real ones in test_dev_usage.py, wrong ones here."""

from __future__ import annotations

import socket
import threading

import pytest

from dev_process import free_port
from portico_cli.usage import UsageFault
from portico_cli.usage_dev import DevKeeper


def test_nobody() -> None:
    with pytest.raises(UsageFault, match="no `portico dev` answers at port"):
        DevKeeper(free_port()).ask("GET", "/usageplans/x/usage")


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"",
    ],
)
def test_somebody_else(answer: bytes) -> None:
    with socket.create_server(("localhost", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client:
                client.recv(65_536)
                client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        keeper = DevKeeper(listening.getsockname()[1])
        with pytest.raises(UsageFault, match=r"not the usage of plans|no `portico dev`"):
            keeper.ask("GET", "/usageplans/x/usage")
        thread.join()
