"""Domains as their users have them: manifests with a Secret, `portico dev`, real TLS clients."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dev_process import DevProcess
from manifests import manifest
from pki import Authority, Pair

SERVER, CLIENTS = Authority("Servers"), Authority("Clients")
_PORTS = re.compile(r"serving http://localhost:(\d+) and https://localhost:(\d+), admin")


class Answer(NamedTuple):
    """What a client reads."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seen(self) -> list[str]:
        """The lines that the backend got."""
        found: list[str] = json.loads(self.body)
        return found


async def ask(
    port: int,
    path: str,
    host: str,
    tls: ssl.SSLContext | None = None,
    name: str | None = None,
    method: str = "GET",
    headers: str = "",
) -> Answer:
    """One request on a connection of its own; `name`: another one in the handshake."""
    server = (name if name is not None else host) if tls is not None else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=server
    )
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}Connection: close\r\n\r\n"
        writer.write(head.encode())
        raw = await reader.read()
    finally:
        writer.close()
    first, _, rest = raw.partition(b"\r\n")
    block, _, body = rest.partition(b"\r\n\r\n")
    lines = (line.partition(": ") for line in block.decode("latin-1").split("\r\n"))
    found = {key.lower(): value for key, _, value in lines}
    return Answer(int(first.split()[1]), found, body)


def trusting(client: Path | None = None, **limits: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=SERVER.pem)
    if client is not None:
        context.load_cert_chain(client)
    for name, value in limits.items():
        setattr(context, name, value)
    return context


@pytest.fixture
async def backend() -> AsyncIterator[str]:
    """Answers every request with its own lines."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        body = json.dumps(head.decode("latin-1").strip().split("\r\n")).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body))
        writer.write(b"Connection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def domain(name: str, *hosts: str, **spec: Any) -> dict[str, Any]:
    tls = {"certificateRef": {"name": "tls"}}
    return manifest("DomainName", name, {"domainNames": list(hosts), **tls, **spec})


def mapping(name: str, domain: str, api: str, key: str = "", **spec: Any) -> dict[str, Any]:
    fixed = {"domainRef": {"name": domain}, "apiRef": {"name": api}, "apiMappingKey": key}
    return manifest("ApiMapping", name, fixed | spec)


def certificate(pair: Pair) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": pair.chain, "tls.key": pair.key},
    }


def everything(backend: str) -> list[dict[str, Any]]:
    told = {
        "integration.request.header.x-subject": "context.identity.clientCert.subjectDN",
        "integration.request.header.x-tls": "context.tlsVersion",
        "integration.request.header.x-path": "context.path",
        "integration.request.header.x-domain": "context.domainPrefix",
    }
    target = {"url": f"{backend}/{{proxy}}", "requestParameters": told}
    api = {"apiRef": {"name": "orders"}, "routeKey": "ANY /{proxy+}", "integration": target}
    web = {"name": "web", "kind": "HttpApi"}
    page = {"apiRef": web, "routeKey": "$default", "integration": {"url": backend}}
    prod = {"apiRef": {"name": "orders"}, "stageName": "prod"}
    newer = {"matchHeaders": {"anyOf": [{"header": "x-beta", "valueGlob": "yes*"}]}}
    invoke = {"invokeApi": {"apiRef": {"name": "orders"}, "stage": "prod"}}
    rules = [{"priority": 1, "conditions": [newer], "actions": [invoke]}]
    return [
        certificate(SERVER.server("shop.test", "*.shop.test")),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "clients"},
            "data": {"ca.crt": CLIENTS.pem},
        },
        manifest("RestApi", "orders", {"disableExecuteApiEndpoint": True}),
        manifest("Stage", "prod", prod),
        manifest("Route", "orders", api),
        manifest("HttpApi", "web"),
        manifest("Route", "web", page),
        domain("shop", "shop.test", "*.shop.test"),
        mapping("orders", "shop", "orders", "orders/v1", stage="prod"),
        mapping("web", "shop", "web", apiRef=web),
        mapping("gone", "shop", "gone", "gone"),
        domain(
            "secure",
            "secure.shop.test",
            mutualTlsAuthentication={"truststoreRef": {"name": "clients"}},
        ),
        mapping("secure", "secure", "orders", stage="prod"),
        domain(
            "new",
            "new.shop.test",
            securityPolicy="SecurityPolicy_TLS13_1_3_2025_09",
            extensions={"redirectHttp": True},
            routingMode="ROUTING_RULE_ONLY",
            routingRules=rules,
        ),
    ]


class Serving(NamedTuple):
    """A dev that serves all of it."""

    dev: DevProcess
    plain: int
    secure: int
    file: Path


@pytest.fixture
async def serving(tmp_path: Path, backend: str) -> AsyncIterator[Serving]:
    file = tmp_path / "domains.yaml"
    file.write_text(yaml.safe_dump_all(everything(backend)))
    async with DevProcess(file, options=("--tls-port", "0")) as dev:
        found = _PORTS.search(await dev.line(lambda line: bool(_PORTS.search(line))))
        assert found is not None
        await dev.line(lambda line: line.startswith("watching for changes"))
        yield Serving(dev, int(found[1]), int(found[2]), file)


async def test_the_longest_key_chooses_and_goes(serving: Serving) -> None:
    answer = await ask(serving.plain, "/orders/v1/items/7?a=1", "shop.test")
    assert answer.seen[0] == "GET /items/7?a=1 HTTP/1.1"
    # The base path stays in $context.path, and no stage stands there (AWS §8.2).
    assert "x-path: /orders/v1/items/7" in answer.seen
    assert "x-domain: shop" in answer.seen
    other = await ask(serving.plain, "/orders/v2", "any.shop.test")
    assert other.seen[0] == "GET /orders/v2 HTTP/1.1"
    assert (await ask(serving.plain, "/gone/x", "shop.test")).status == 500
    assert (await ask(serving.plain, "/x", "other.test")).status == 403
    # The default endpoint is disabled, the domain is not (AWS §8.6).
    assert (await ask(serving.plain, "/prod/x", "orders.default.localhost")).status == 403


async def test_by_tls_it_is_the_same_and_says_so(serving: Serving) -> None:
    answer = await ask(serving.secure, "/orders/v1/x", "shop.test", trusting())
    assert "x-tls: TLSv1.3" in answer.seen
    assert "X-Forwarded-Proto: https" in answer.seen
    assert not [line for line in answer.seen if line.startswith("x-subject")]


async def test_client_certificates_are_asked_for_and_told(serving: Serving, tmp_path: Path) -> None:
    good = trusting(CLIENTS.client("somebody").file(tmp_path, "good"))
    answer = await ask(serving.secure, "/x", "secure.shop.test", good)
    assert "x-subject: C=US,O=Example,CN=somebody" in answer.seen
    assert (await ask(serving.plain, "/x", "secure.shop.test")).status == 403
    stranger = trusting(SERVER.client("stranger").file(tmp_path, "bad"))
    for context in (trusting(), stranger):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await ask(serving.secure, "/x", "secure.shop.test", context)
    # Another domain's handshake opens nothing here, nor the other way round.
    for host, name, context in (
        ("secure.shop.test", "shop.test", trusting()),
        ("shop.test", "secure.shop.test", good),
    ):
        answer = await ask(serving.secure, "/x", host, context, name)
        assert (answer.status, answer.body) == (421, b'{"message":"Misdirected Request"}')


async def test_rules_policy_and_redirect(serving: Serving) -> None:
    old = trusting(maximum_version=ssl.TLSVersion.TLSv1_2)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await ask(serving.secure, "/x", "new.shop.test", old)
    assert (await ask(serving.secure, "/orders/v1/x", "shop.test", old)).status == 200
    beta = "X-Beta: yes, please\r\n"
    answer = await ask(serving.secure, "/a/b", "new.shop.test", trusting(), headers=beta)
    assert answer.seen[0] == "GET /a/b HTTP/1.1"
    nowhere = await ask(serving.secure, "/a/b", "new.shop.test", trusting())
    assert (nowhere.status, nowhere.body) == (404, b'{"message":"Not Found"}')
    place = f"https://new.shop.test:{serving.secure}/a?b=c"
    for method, status in (("GET", 301), ("POST", 308)):
        sent = await ask(serving.plain, "/a?b=c", "new.shop.test", method=method)
        assert (sent.status, sent.headers["location"]) == (status, place)


async def test_a_replaced_certificate_serves_at_once(serving: Serving, backend: str) -> None:
    newer = Authority("Newer")
    documents = everything(backend)
    documents[0] = certificate(newer.server("shop.test"))
    said = await serving.dev.edited(serving.file, yaml.safe_dump_all(documents))
    assert any("not for *.shop.test" in line for line in said)
    with pytest.raises(ssl.SSLCertVerificationError):
        await ask(serving.secure, "/x", "shop.test", trusting())
    context = ssl.create_default_context(cadata=newer.pem)
    assert (await ask(serving.secure, "/x", "shop.test", context)).status == 200
