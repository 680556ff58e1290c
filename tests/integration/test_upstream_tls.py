"""TLS to backends from the manifest to the wire: real authorities, OpenSSL at the other end.

AWS §3.22, §4.3. Every rule holds for RestApi and HttpApi alike, so most tests ask both.
"""

from __future__ import annotations

import datetime
import json
import ssl
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from compiled_engine import CompiledEngine
from dev_process import DevProcess
from gateway_process import fetch
from pki import Authority, Pair
from raw_http import PATIENCE, Answer, RawClient
from tls_backend import TlsBackend, backend_context

CA, OTHER, CLIENTS = Authority("Backends"), Authority("Strangers"), Authority("Gateways")
NAME = "pets.default.svc.cluster.local"
PAST = datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC)
HOSTS = ("rest.default.localhost", "web.default.localhost")
ERROR = {
    HOSTS[0]: b'{"message": "Internal server error"}',
    HOSTS[1]: b'{"message":"Internal Server Error"}',
}
APIS = """
apiVersion: portico.dev/v1alpha1
kind: RestApi
metadata: {name: rest, namespace: default}
spec: {functions: {price: {service: {name: pets, port: 443}}}}
---
apiVersion: portico.dev/v1alpha1
kind: HttpApi
metadata: {name: web, namespace: default}
spec: {}
"""
MAPPED = "integration.request.path.host: method.request.path.host"
SERVICE = "service: {name: pets, port: 443}"


def route(path: str, tls: str, target: str = SERVICE) -> str:
    """One on each API; `tls`: what `tlsConfig` holds."""
    return "".join(
        f"""
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {{name: {kind.lower()}-{path}, namespace: default}}
spec:
  apiRef: {{name: {name}, kind: {kind}}}
  routeKey: GET /{path}
  integration:
    {target}
    tlsConfig: {{{tls}}}
"""
        for kind, name in (("RestApi", "rest"), ("HttpApi", "web"))
    )


def config_map(name: str, pem: str) -> str:
    return f"""
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: default}}
data:
  ca.crt: |
{textwrap.indent(pem, "    ")}"""


def secret(name: str, pair: Pair) -> str:
    return f"""
---
apiVersion: v1
kind: Secret
metadata: {{name: {name}, namespace: default}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{textwrap.indent(pair.chain, "    ")}  tls.key: |
{textwrap.indent(pair.key, "    ")}"""


Serve = Callable[..., CompiledEngine]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as stack:

        def serving(backend: TlsBackend, *texts: str) -> CompiledEngine:
            where = {"default/pets": f"https://127.0.0.1:{backend.port}"}
            return stack.enter_context(CompiledEngine(APIS + "".join(texts), where))

        yield serving


@pytest.fixture
def backend() -> Iterator[TlsBackend]:
    with TlsBackend(backend_context(CA.server(NAME))) as backend:
        yield backend


def asked(engine: CompiledEngine, path: str) -> list[tuple[int, bytes]]:
    """What both APIs say."""
    answers = [engine.get(host, path) for host in HOSTS]
    return [(answer.status, answer.body) for answer in answers]


GOOD = [(200, b"ok"), (200, b"ok")]
BAD = [(500, body) for body in ERROR.values()]


# --- whom to trust --------------------------------------------------------------------------------


def test_an_authority_of_ones_own(serve: Serve, backend: TlsBackend) -> None:
    engine = serve(
        backend,
        config_map("ca", CA.pem),
        config_map("strangers", OTHER.pem),
        config_map("both", OTHER.pem + CA.pem),
        route("own", "caRef: {name: ca}"),
        route("among", "caRef: {name: both}"),
        route("other", "caRef: {name: strangers}"),
        route("usual", "", f'url: "https://localhost:{backend.port}"'),
    )
    assert asked(engine, "/own") == GOOD
    assert asked(engine, "/among") == GOOD
    assert {(one.server_name, one.protocol) for one in backend.seen} == {(NAME, "http/1.1")}
    assert {one.version for one in backend.seen} == {"TLSv1.3"}
    before = len(backend.seen)
    assert asked(engine, "/other") == BAD
    assert asked(engine, "/usual") == BAD  # the system's authorities know nothing of it
    assert len(backend.seen) == before
    assert len(backend.requests) == 4


def test_an_intermediate_may_be_all_that_is_trusted(serve: Serve) -> None:
    """What is named is trusted, be it a root or not."""
    issuer = OTHER.intermediate("Team")
    with TlsBackend(backend_context(issuer.server(NAME))) as backend:
        engine = serve(backend, config_map("ca", issuer.pem), route("own", "caRef: {name: ca}"))
        assert asked(engine, "/own") == GOOD


def test_the_name_to_verify(serve: Serve) -> None:
    with TlsBackend(backend_context(CA.server("pets.example", "*.wild.example"))) as backend:
        ca = "caRef: {name: ca}"
        url = f'url: "https://localhost:{backend.port}"'
        engine = serve(
            backend,
            config_map("ca", CA.pem),
            route("named", f"{ca}, serverNameToVerify: pets.example"),
            route("named-url", f"{ca}, serverNameToVerify: a.wild.example", url),
            route("wrong", f"{ca}, serverNameToVerify: other.example"),
            route("service", ca),
            route("url", ca, url),
        )
        assert asked(engine, "/named") == GOOD
        assert asked(engine, "/named-url") == GOOD
        names = [one.server_name for one in backend.seen]
        assert set(names) == {"pets.example", "a.wild.example"}
        for path in ("/wrong", "/service", "/url"):
            assert asked(engine, path) == BAD
        assert len(backend.seen) == len(names)


def test_an_expired_certificate(serve: Serve) -> None:
    with TlsBackend(backend_context(CA.server(NAME, until=PAST))) as backend:
        engine = serve(
            backend,
            config_map("ca", CA.pem),
            route("own", "caRef: {name: ca}"),
            route("any", "insecureSkipVerification: true, serverNameToVerify: " + NAME),
        )
        assert asked(engine, "/own") == BAD
        assert asked(engine, "/any") == BAD
        assert not backend.requests


def test_any_authority_still_asks_for_the_name(serve: Serve) -> None:
    """AWS §3.22: expiry and host name are checked all the same."""
    with TlsBackend(backend_context(OTHER.server("localhost"))) as backend:
        skip = "insecureSkipVerification: true"
        engine = serve(
            backend,
            route("any", skip, f'url: "https://localhost:{backend.port}"'),
            route("wrong", skip, f'url: "https://127.0.0.1:{backend.port}"'),
            route(
                "not", "insecureSkipVerification: false", f'url: "https://localhost:{backend.port}"'
            ),
        )
        assert asked(engine, "/any") == GOOD
        assert asked(engine, "/wrong") == BAD
        assert asked(engine, "/not") == BAD
        assert len(backend.requests) == 2


def test_old_versions_are_not_spoken(serve: Serve) -> None:
    old = backend_context(CA.server(NAME), least=ssl.TLSVersion.TLSv1, most=ssl.TLSVersion.TLSv1_1)
    with TlsBackend(old) as backend:
        engine = serve(backend, config_map("ca", CA.pem), route("own", "caRef: {name: ca}"))
        assert asked(engine, "/own") == BAD
        assert not backend.seen
        backend.use(backend_context(CA.server(NAME), most=ssl.TLSVersion.TLSv1_2))
        assert asked(engine, "/own") == GOOD
        assert {one.version for one in backend.seen} == {"TLSv1.2"}


# --- what is shown --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_backend_that_asks_who_calls(serve: Serve, version: ssl.TLSVersion) -> None:
    context = backend_context(CA.server(NAME), clients=CLIENTS.pem, least=version, most=version)
    with TlsBackend(context) as backend:
        ca = "caRef: {name: ca}"
        engine = serve(
            backend,
            config_map("ca", CA.pem),
            secret("gateway", CLIENTS.client("gateway")),
            secret("stranger", OTHER.client("stranger")),
            secret("old", CLIENTS.client("old", until=PAST)),
            route("known", f"{ca}, clientCertificateRef: {{name: gateway}}"),
            route("nobody", ca),
            route("stranger", f"{ca}, clientCertificateRef: {{name: stranger}}"),
            route("old", f"{ca}, clientCertificateRef: {{name: old}}"),
        )
        assert asked(engine, "/known") == GOOD
        assert [one.client for one in backend.seen] == ["gateway"]  # pooled: one connection
        for path in ("/nobody", "/stranger", "/old"):
            assert asked(engine, path) == BAD
        assert {one.client for one in backend.seen} == {"gateway"}
        assert len(backend.requests) == 2


def test_why_is_for_operators_only(serve: Serve, backend: TlsBackend) -> None:
    stage = """
---
apiVersion: portico.dev/v1alpha1
kind: Stage
metadata: {name: web, namespace: default}
spec:
  apiRef: {name: web, kind: HttpApi}
  stageName: $default
  accessLogSettings: {format: "$context.requestId $context.status $context.integrationErrorMessage"}
"""
    engine = serve(backend, config_map("ca", OTHER.pem), route("own", "caRef: {name: ca}"), stage)
    answer = engine.get(HOSTS[1], "/own")
    assert answer.status == 500
    (line,) = engine.lines.lines
    request_id, status, told = line.split(" ", 2)
    assert (request_id.encode(), status) == (answer.get("apigw-requestid"), "500")
    assert "the backend's certificate is not accepted: unable to get local issuer" in told
    assert b"issuer" not in answer.raw


def test_a_function_is_called_by_the_same_terms(serve: Serve) -> None:
    context = backend_context(CA.server(NAME), clients=CLIENTS.pem)
    with TlsBackend(context, '{"statusCode": 200, "body": "f"}') as backend:
        engine = serve(
            backend,
            config_map("ca", CA.pem),
            secret("gateway", CLIENTS.client("gateway")),
            """
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: f, namespace: default}
spec:
  apiRef: {name: rest}
  routeKey: GET /f
  integration:
    type: AWS_PROXY
    function: price
    tlsConfig: {caRef: {name: ca}, clientCertificateRef: {name: gateway}}
---
apiVersion: portico.dev/v1alpha1
kind: Route
metadata: {name: g, namespace: default}
spec:
  apiRef: {name: rest}
  routeKey: GET /g
  integration: {type: AWS_PROXY, function: price, tlsConfig: {caRef: {name: ca}}}
""",
        )
        assert engine.get(HOSTS[0], "/f").body == b"f"
        assert engine.get(HOSTS[0], "/g").status == 500
        assert [one.client for one in backend.seen] == ["gateway"]


def test_a_url_whose_host_the_request_chooses(serve: Serve) -> None:
    with TlsBackend(backend_context(CA.server("localhost"))) as backend:
        engine = serve(
            backend,
            config_map("ca", CA.pem),
            route("to/{host}", "caRef: {name: ca}", f'url: "https://{{host}}:{backend.port}/x"')
            .replace("-to/{host}", "-to")
            .replace(
                "    url:",
                f"    requestParameters: {{{MAPPED}}}\n    url:",
                1,
            ),
        )
        assert engine.get(HOSTS[1], "/to/localhost").body == b"ok"
        assert engine.get(HOSTS[0], "/to/localhost").body == b"ok"
        assert engine.get(HOSTS[1], "/to/127.0.0.1").status == 500
        assert len(backend.seen) == 1  # both APIs say the same, so they share a connection


# --- references -----------------------------------------------------------------------------------


def test_what_is_missing_breaks_its_own_route_until_it_appears(
    serve: Serve, backend: TlsBackend
) -> None:
    backend.use(backend_context(CA.server(NAME), clients=CLIENTS.pem))
    routes = (
        config_map("ca", CA.pem)
        + secret("there", CLIENTS.client("there"))
        + route("there", "caRef: {name: ca}, clientCertificateRef: {name: there}")
        + route("late", "caRef: {name: ca}, clientCertificateRef: {name: late}")
        + route("late-ca", "caRef: {name: late-ca}, clientCertificateRef: {name: there}")
    )
    engine = serve(backend, routes)
    assert asked(engine, "/there") == GOOD
    assert asked(engine, "/late") == asked(engine, "/late-ca") == BAD
    engine.serve(
        APIS + routes + secret("late", CLIENTS.client("late")) + config_map("late-ca", CA.pem)
    )
    for path in ("/there", "/late", "/late-ca"):
        assert asked(engine, path) == GOOD
    assert {one.client for one in backend.seen} == {"there", "late"}
    engine.serve(APIS + routes)
    assert asked(engine, "/there") == GOOD
    assert asked(engine, "/late") == asked(engine, "/late-ca") == BAD


# --- connections ----------------------------------------------------------------------------------


def test_connections_are_kept_and_never_shared_between_terms(
    serve: Serve, backend: TlsBackend
) -> None:
    """One backend, three ways to call it: what one proved is not used by another."""
    ca = "caRef: {name: ca}"
    context = backend_context(CA.server(NAME, "pets.example"), clients=CLIENTS.pem)
    backend.use(context)
    engine = serve(
        backend,
        config_map("ca", CA.pem),
        secret("a", CLIENTS.client("a")),
        secret("b", CLIENTS.client("b")),
        route("a", f"{ca}, clientCertificateRef: {{name: a}}"),
        route("a-too", f"{ca}, clientCertificateRef: {{name: a}}"),
        route("b", f"{ca}, clientCertificateRef: {{name: b}}"),
        route(
            "b-named", f"{ca}, clientCertificateRef: {{name: b}}, serverNameToVerify: pets.example"
        ),
    )
    for _ in range(3):
        for path in ("/a", "/a-too", "/b", "/b-named"):
            assert asked(engine, path) == GOOD
    assert [(one.client, one.server_name) for one in backend.seen] == [
        ("a", NAME),
        ("b", NAME),
        ("b", "pets.example"),
    ]
    shown = [(backend.seen[number].client, head.split()[1]) for number, head in backend.requests]
    assert set(shown) == {("a", b"/a"), ("a", b"/a-too"), ("b", b"/b"), ("b", b"/b-named")}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(serve: Serve, version: ssl.TLSVersion) -> None:
    context = backend_context(
        CA.server(NAME, "pets.example"), clients=CLIENTS.pem, least=version, most=version
    )
    with TlsBackend(context, closing=True) as backend:
        shows = "caRef: {name: ca}, clientCertificateRef: {name: gateway}"
        engine = serve(
            backend,
            config_map("ca", CA.pem),
            secret("gateway", CLIENTS.client("gateway")),
            route("own", shows),
            route("named", f"{shows}, serverNameToVerify: pets.example"),
        )
        for _ in range(5):
            assert asked(engine, "/own") == GOOD
        assert [one.resumed for one in backend.seen] == [False] + [True] * 9
        assert {one.client for one in backend.seen} == {"gateway"}
        # Verified for one name, it is not resumed for another.
        assert asked(engine, "/named") == GOOD
        assert [one.resumed for one in backend.seen[10:]] == [False, True]
        # A backend that has forgotten: the handshake is a whole one, and nobody notices.
        backend.use(
            backend_context(CA.server(NAME), clients=CLIENTS.pem, least=version, most=version)
        )
        assert asked(engine, "/own") == GOOD
        assert [one.resumed for one in backend.seen[12:]] == [False, True]


def test_a_session_is_not_resumed_by_whom_would_not_verify(serve: Serve) -> None:
    """Another authority, another context: what was verified before does not count."""
    context = backend_context(CA.server(NAME))
    with TlsBackend(context, closing=True) as backend:
        routes = route("own", "caRef: {name: ca}")
        engine = serve(backend, config_map("ca", CA.pem), routes)
        for _ in range(2):
            assert asked(engine, "/own") == GOOD
        assert [one.resumed for one in backend.seen] == [False, True, True, True]
        engine.serve(APIS + config_map("ca", OTHER.pem) + routes)
        assert asked(engine, "/own") == BAD


# --- rotation -------------------------------------------------------------------------------------


def load(
    engine: CompiledEngine, host: str, path: str, stop: threading.Event, said: list[Answer]
) -> None:
    """Requests on one connection until told to stop."""
    with RawClient(engine.port) as client:
        while not stop.is_set():
            client.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            said.append(client.read_answer())


def test_rotation_under_load(serve: Serve, backend: TlsBackend) -> None:
    """Client certificates, then the authority and the backend's certificate: nothing fails."""
    authorities = [CA, Authority("Successor")]
    both = authorities[0].pem + authorities[1].pem
    routes = route("own", "caRef: {name: ca}, clientCertificateRef: {name: gateway}")

    def manifests(trusted: str, name: str) -> str:
        return APIS + config_map("ca", trusted) + secret("gateway", CLIENTS.client(name)) + routes

    def until(happened: Callable[[], bool], what: str) -> None:
        engine.until(happened, what)

    backend.use(backend_context(CA.server(NAME), clients=CLIENTS.pem))
    engine = serve(backend, manifests(CA.pem, "first").removeprefix(APIS))
    stop, said = threading.Event(), [list[Answer]() for _ in range(4)]
    clients = [
        threading.Thread(target=load, args=(engine, host, "/own", stop, mine), daemon=True)
        for host, mine in zip(HOSTS * 2, said, strict=True)
    ]
    for client in clients:
        client.start()

    def until_begun_anew() -> None:
        """No request is left that began with the configuration of before."""
        before = [len(mine) for mine in said]
        until(
            lambda: all(len(mine) > n for mine, n in zip(said, before, strict=True)),
            "requests under way are answered",
        )

    until(lambda: all(len(mine) > 10 for mine in said), "requests are served")
    for name in ("second", "third", "fourth"):
        engine.serve(manifests(CA.pem, name))
        until(lambda n=name: n in {one.client for one in backend.seen}, f"{name} is shown")  # type: ignore[misc]
    engine.serve(manifests(both, "fourth"))
    until_begun_anew()
    backend.use(backend_context(authorities[1].server(NAME), clients=CLIENTS.pem))
    engine.serve(manifests(authorities[1].pem, "fifth"))
    until(lambda: "fifth" in {one.client for one in backend.seen}, "the last is shown")
    asked_for = len(backend.requests)
    until(lambda: len(backend.requests) > asked_for + 50, "requests go on")
    stop.set()
    for client in clients:
        client.join(PATIENCE)
    answers = {(answer.status, answer.body) for mine in said for answer in mine}
    assert answers == {(200, b"ok")}
    # What is over is drained: nobody who shows an earlier certificate asks any more.
    after = backend.requests[asked_for + len(clients) :]
    assert {backend.seen[number].client for number, _ in after} == {"fifth"}
    engine.until(lambda: engine.gateway.upstreams.counts()[0] <= 4, "old connections are closed")


async def test_dev_takes_a_new_certificate(tmp_path: Path) -> None:
    """From files, as a developer has it."""
    context = backend_context(CA.server(NAME), clients=CLIENTS.pem)
    with TlsBackend(context) as backend:
        (tmp_path / "portico.dev.yaml").write_text(
            json.dumps({"services": {"default/pets": {"url": f"https://127.0.0.1:{backend.port}"}}})
        )
        tls = "caRef: {name: ca}, clientCertificateRef: {name: gateway}"
        (tmp_path / "api.yaml").write_text(APIS + config_map("ca", CA.pem) + route("own", tls))
        client = tmp_path / "client.yaml"
        client.write_text(secret("gateway", CLIENTS.client("first")).removeprefix("\n---\n"))
        async with DevProcess(tmp_path) as dev:
            port, _ = await dev.ports()
            url = f"http://127.0.0.1:{port}/own"
            assert (await fetch(url, HOSTS[0]))[:2] == (200, "ok")
            new = secret("gateway", CLIENTS.client("second")).removeprefix("\n---\n")
            await dev.edited(client, new)
            for host in HOSTS:
                assert (await fetch(url, host))[:2] == (200, "ok")
            assert [one.client for one in backend.seen] == ["first", "second"]
            await dev.edited(client, None)
            status, body, _ = await fetch(url, HOSTS[0])
            assert (status, body.encode()) == (500, ERROR[HOSTS[0]])
