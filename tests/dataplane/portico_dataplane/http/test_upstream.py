"""One connection to a backend: what its user is told, however the bytes are cut.

What may stand in an answer is a table of tests/dataplane/rules/test_upstreams.py.
"""

from __future__ import annotations

from typing import Any, cast

import pytest

from fake_upstreams import OK, FakeDeadlines, FakeDialer, User, Wire
from portico_dataplane.effects.dialer import Dialer
from portico_dataplane.effects.tls_client import NoTls
from portico_dataplane.http.pools import Upstreams
from portico_dataplane.http.upstream import UpstreamConnection
from portico_dataplane.settings import Settings
from portico_ir.model import Endpoint


def connected(**settings: Any) -> tuple[User, UpstreamConnection, Upstreams]:
    """A user with a new connection, without a loop."""
    registry = Upstreams(Settings(**settings), cast(Dialer, FakeDialer()), FakeDeadlines())
    upstream = registry.get("it", trusted=True)
    upstream.update((Endpoint(host="10.0.0.1", port=80),))
    assert upstream.sole is not None
    connection = UpstreamConnection(upstream.sole)
    connection.connection_made(Wire())
    user = User()
    user.on_connection(connection)
    return user, connection, registry


def folded(told: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """As if all of a body had come at once."""
    found: list[tuple[Any, ...]] = []
    for one in told:
        if one[0] == "body" and found and found[-1][0] == "response":
            _, status, body, _ = found.pop()
            found.append(("response", status, body + one[1], one[2]))
        else:
            found.append(one)
    return found


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\n"
)
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
ANSWERS: dict[str, tuple[bytes, bytes, list[tuple[Any, ...]]]] = {
    "length": (b"GET", OK, [("response", 200, b"ok", True)]),
    "chunked": (b"GET", CHUNKED, [("response", 200, b"abcde", True)]),
    "interim": (b"GET", INTERIM + OK, [("response", 200, b"ok", True)]),
    "no-body": (b"GET", b"HTTP/1.1 204 No\r\n\r\n", [("response", 204, b"", True)]),
    "head": (
        b"HEAD",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
        [("response", 200, b"", True)],
    ),
    "head-chunked": (
        b"HEAD",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        [("response", 200, b"", True)],
    ),
    "until-close": (b"GET", b"HTTP/1.1 200 OK\r\n\r\nabc", [("response", 200, b"abc", False)]),
    "cut-short": (
        b"GET",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
        [("response", 200, b"ab", False)],
    ),
    "upgrade": (
        b"GET",
        b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        [("upgraded", b"")],
    ),
}


@pytest.mark.parametrize(("method", "answer", "told"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_cut_anywhere_is_the_same(
    method: bytes, answer: bytes, told: list[tuple[Any, ...]]
) -> None:
    for cut in range(len(answer)):
        user, connection, _ = connected()
        connection.send(user, method + b" / HTTP/1.1\r\n\r\n", bodiless=method == b"HEAD")
        assert not connection.received
        connection.data_received(answer[:cut] or answer[:1])
        assert connection.received
        if cut != 0:
            connection.data_received(answer[cut:])
        elif answer[1:]:
            for byte in answer[1:]:
                connection.data_received(bytes((byte,)))
        assert folded(user.told) == told, cut


def test_what_is_sent_is_what_was_given() -> None:
    user, connection, _ = connected()
    connection.send(user, b"PUT / HTTP/1.1\r\n\r\nbody", bodiless=False)
    assert user.wire.written == b"PUT / HTTP/1.1\r\n\r\nbody"


def test_answers_in_a_row() -> None:
    user, connection, registry = connected()
    for answer, body in ((OK, b"ok"), (CHUNKED, b"abcde"), (OK, b"ok")):
        user.told.clear()
        user.call(answer)
        assert folded(user.told) == [("response", 200, body, True)]
        connection.release()
        assert registry.live == set()  # made by hand, not by the pool


@pytest.mark.parametrize("later", [False, True], ids=["at-once", "in-the-body"])
def test_a_body_that_breaks_is_told_once(later: bool) -> None:
    user, connection, _ = connected()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    if later:
        user.call(head + b"2\r\nok\r\n")
        connection.data_received(b"zz\r\n")
    else:
        user.call(head + b"zz\r\n")
    assert [one[0] for one in user.told] == (["response"] if later else []) + ["lost"]
    assert user.wire.ended == "abort"
    connection.connection_lost(None)
    assert len(user.told) == (2 if later else 1)


def test_interim_answers_have_an_end() -> None:
    user, _, _ = connected()
    user.call(b"HTTP/1.1 102 Wait\r\n\r\n" * 100 + OK)
    assert [one[0] for one in user.told] == ["lost"]


def test_interim_answers_are_counted_for_each_request() -> None:
    user, connection, _ = connected()
    for _ in range(5):
        user.told.clear()
        user.call(b"HTTP/1.1 102 Wait\r\n\r\n" * 40 + OK)
        assert user.told == [("response", 200, b"ok", True)]
        connection.release()


def test_the_end_of_a_body_without_length_is_the_end_of_the_connection() -> None:
    user, connection, _ = connected()
    user.call(b"HTTP/1.1 200 OK\r\n\r\nab")
    connection.data_received(b"cd")
    connection.eof_received()
    assert folded(user.told) == [("response", 200, b"abcd", True)]
    connection.release()
    assert user.wire.ended == "abort"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", OK[:-1], CHUNKED[:-3]])
def test_the_end_of_the_connection_is_no_end_of_anything_else(answer: bytes) -> None:
    user, connection, _ = connected()
    connection.send(user, b"GET / HTTP/1.1\r\n\r\n", bodiless=False)
    if answer:
        connection.data_received(answer)
    connection.eof_received()
    connection.connection_lost(None)
    assert user.told[-1][0] == "lost"
    assert all(one[-1] is not True for one in user.told)
    assert connection.received is bool(answer)


def test_a_reset_says_why() -> None:
    user, connection, _ = connected()
    connection.send(user, b"GET / HTTP/1.1\r\n\r\n", bodiless=False)
    connection.connection_lost(ConnectionResetError("reset by peer"))
    assert user.told == [("lost", "reset by peer")]
    assert connection.closed
    connection.release()
    connection.close()
    connection.hold(True)
    assert user.told == [("lost", "reset by peer")]


def test_what_is_closed_says_nothing_more() -> None:
    user, connection, _ = connected()
    connection.send(user, b"GET / HTTP/1.1\r\n\r\n", bodiless=False)
    connection.close()
    connection.data_received(OK)
    connection.eof_received()
    connection.connection_lost(None)
    assert user.told == []


def test_a_backend_that_takes_no_more_is_told_to_the_user() -> None:
    user, connection, _ = connected()
    connection.send(user, b"PUT / HTTP/1.1\r\n\r\n", bodiless=False)
    connection.pause_writing()
    connection.resume_writing()
    assert user.told == [("paused", True), ("paused", False)]
    connection.data_received(OK)
    connection.release()
    connection.resume_writing()  # nobody is there to hear it
    assert len(user.told) == 3


def test_a_user_that_is_behind_holds_reading() -> None:
    user, connection, _ = connected()
    user.call(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
    connection.hold(True)
    assert not user.wire.reading
    connection.hold(False)
    assert user.wire.reading


def test_bytes_of_a_tunnel_pass() -> None:
    user, connection, _ = connected()
    user.call(ANSWERS["upgrade"][1] + b"early")
    connection.data_received(b"HTTP/1.1 500 this is no head\r\n\r\n")
    assert user.told == [
        ("upgraded", b"early"),
        ("tunnel", b"HTTP/1.1 500 this is no head\r\n\r\n"),
    ]
    connection.eof_received()
    connection.connection_lost(None)
    assert user.told[-1][0] == "lost"
    connection.release()


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({"upstream_head_limit": 100}, b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100 + b"\r\n\r\n"),
        ({"upstream_head_limit": 100}, b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100),
        ({"upstream_max_headers": 2}, b"HTTP/1.1 200 OK\r\nA: a\r\nB: b\r\nC: c\r\n\r\n"),
    ],
    ids=["head", "head-without-end", "headers"],
)
def test_heads_have_limits(settings: dict[str, int], answer: bytes) -> None:
    user, _, _ = connected(**settings)
    user.call(answer)
    assert [one[0] for one in user.told] == ["lost"]
    assert user.wire.ended == "abort"


def test_limits_are_for_each_head() -> None:
    user, connection, _ = connected(upstream_head_limit=100)
    body = b"x" * 500
    for _ in range(3):
        user.told.clear()
        user.call(INTERIM + b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + body)
        assert user.told == [("response", 200, body, True)]
        connection.release()


# --- the last words of a tunnel -------------------------------------------------------------------


def waiting(registry: Upstreams) -> set[Any]:
    return cast(FakeDeadlines, registry.deadlines).waiting


def test_what_has_gone_out_needs_no_time() -> None:
    user, connection, registry = connected()
    connection.finish()
    assert (user.wire.ended, waiting(registry)) == ("close", set())
    assert user.told == []


def test_what_has_not_gone_out_has_its_time_and_no_more() -> None:
    user, connection, registry = connected()
    user.wire.unsent = 100
    connection.finish()
    assert user.wire.ended == "close"
    assert waiting(registry) == {connection}
    connection.finish()
    cast(FakeDeadlines, registry.deadlines).expire()
    assert user.wire.ended == "abort"


def test_what_went_out_in_time_is_forgotten_at_once() -> None:
    user, connection, registry = connected()
    user.wire.unsent = 100
    connection.finish()
    connection.connection_lost(None)
    assert waiting(registry) == set()
    assert user.told == []


def test_what_was_learnt_of_tls_is_learnt_once() -> None:
    """With the first answer, kept alive or not: by then a backend has sent its ticket."""

    class Memory:
        learnt = 0

        def learn(self, transport: Any) -> None:
            self.learnt += 1

    for answer in (OK, OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")):
        user, connection, _ = connected()
        memory = Memory()
        connection._pool.tls = cast(Any, memory)
        for _ in range(2):
            connection.send(user, b"GET / HTTP/1.1\r\n\r\n", bodiless=False)
            connection.data_received(answer)
            connection.release()
            if connection.closed:
                break
        assert memory.learnt == 1


@pytest.mark.parametrize(
    ("lost", "refused"),
    [
        (NoTls("the backend refuses: certificate required"), True),
        (NoTls("decryption failed", lost=True), False),
        (ConnectionResetError("reset"), False),
        (None, False),
    ],
)
def test_a_backend_that_does_not_take_the_certificate(
    lost: Exception | None, refused: bool
) -> None:
    user, connection, _ = connected()
    connection.send(user, b"GET / HTTP/1.1\r\n\r\n", bodiless=False)
    connection.connection_lost(lost)
    assert connection.refused is refused
    assert user.told[-1] == ("lost", str(lost) if lost else "the backend closed the connection")
