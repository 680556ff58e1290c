"""A port is ours alone or an error that names it; sockets of one port share it by worker."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from portico_dataplane.settings import Settings
from portico_dataplane.workers.sockets import (
    ListenError,
    close,
    listen,
    listen_for,
    listen_once,
    listen_unix,
    plain,
    secure,
    shown,
)


def test_every_worker_has_its_own_socket_on_one_port() -> None:
    slots = listen("127.0.0.1", 0, 3, 16)
    ports = {sock.getsockname()[1] for slot in slots for sock in slot}

    assert [len(slot) for slot in slots] == [1, 1, 1]
    assert len(ports) == 1
    close(slots)


def test_tls_sockets_are_told_by_their_port() -> None:
    settings, slots = listen_for(Settings(host="127.0.0.1", port=0, tls_port=0, workers=2))

    assert settings.tls_port
    for slot in slots:
        assert [sock.getsockname()[1] for sock in secure(slot, settings)] == [settings.tls_port]
        assert len(plain(slot, settings)) == 1
    with pytest.raises(ListenError, match=f"port {settings.tls_port} is in use"):
        listen_for(Settings(host="127.0.0.1", port=0, tls_port=settings.tls_port))
    close(slots)


def test_without_a_tls_port_all_sockets_are_plain() -> None:
    settings, slots = listen_for(Settings(host="127.0.0.1", port=0))

    assert settings.tls_port is None
    assert plain(slots[0], settings) == slots[0]
    assert secure(slots[0], settings) == []
    close(slots)


def test_no_host_means_every_address() -> None:
    slots = listen("", 0, 1, 16)
    port = slots[0][0].getsockname()[1]

    assert {sock.getsockname()[1] for sock in slots[0]} == {port}
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        pass
    close(slots)


@pytest.mark.parametrize("reuse", [False, True])
def test_a_port_in_use_is_an_error_that_names_it(reuse: bool) -> None:
    """Also when the other shares it: the kernel would let us in, beside a stranger."""
    with socket.socket() as other:
        if reuse:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ListenError, match=f"port {port} is in use"):
            listen("127.0.0.1", port, 2, 16)
        with pytest.raises(ListenError, match=f"port {port} is in use"):
            listen("", port, 2, 16)
        with pytest.raises(ListenError, match=f"port {port} is in use"):
            listen_once("127.0.0.1", port)


def test_a_second_gateway_is_refused_before_the_first_has_a_worker() -> None:
    slots = listen("127.0.0.1", 0, 2, 16)
    port = slots[0][0].getsockname()[1]

    with pytest.raises(ListenError):
        listen("127.0.0.1", port, 2, 16)
    close(slots)


def test_a_port_is_free_again_after_its_connections_were_served() -> None:
    slots = listen("127.0.0.1", 0, 1, 16)
    (sock,) = slots[0]
    address = sock.getsockname()
    client = socket.create_connection(address, timeout=10)
    sock.setblocking(True)
    server, _ = sock.accept()
    server.close()  # TIME_WAIT is ours
    client.close()
    close(slots)

    close(listen("127.0.0.1", address[1], 1, 16))


@pytest.mark.parametrize("host", ["no such host", "host.invalid", "x" * 300, "a..b", "256.0.0.1"])
def test_a_host_that_is_none(host: str) -> None:
    with pytest.raises(ListenError, match="no such address"):
        listen(host, 0, 1, 16)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(ListenError, match="not an address of this machine"):
        listen("192.0.2.1", 0, 1, 16)


def test_names_may_have_several_addresses() -> None:
    sockets = listen_once("localhost", 0)

    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    close([sockets])


def test_an_address_is_shown_as_people_write_it() -> None:
    (sock,) = listen_once("127.0.0.1", 0)
    assert shown(sock) == f"127.0.0.1:{sock.getsockname()[1]}"
    sock.close()


def test_a_unix_socket_is_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    sock = listen_unix(str(path))

    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with pytest.raises(ListenError, match=r"cannot listen on .*in use"):
        listen_unix(str(path))
    sock.close()
    # Its file stays behind, as after SIGKILL.
    listen_unix(str(path)).close()


def test_a_unix_socket_replaces_no_file(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")

    with pytest.raises(ListenError):
        listen_unix(str(path))
    assert path.read_text() == "data"


def test_a_unix_socket_in_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="No such file"):
        listen_unix(str(tmp_path / "absent" / "admin.sock"))
    with pytest.raises(ListenError):
        listen_unix("x" * 200)
