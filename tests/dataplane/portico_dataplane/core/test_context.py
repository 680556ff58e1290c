"""`$context` variables by name, the path in its spellings, and lines nobody can forge."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.context import (
    compile_format,
    context_path,
    decoded,
    domain_prefix,
    header_text,
    query_pairs,
    value,
)
from portico_dataplane.core.identifiers import REPLACED_REQUEST_ID
from portico_dataplane.core.messages import Outcome, Request
from portico_dataplane.core.tls_facts import TlsFacts
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind
from sample_requests import HANDSHAKE, NOON_MS, REQUEST_ID, SHORT_ID, make_request

# The console's presets (AWS §10.1).
CLF = (
    "$context.identity.sourceIp $context.identity.caller $context.identity.user "
    '[$context.requestTime] "$context.httpMethod $context.resourcePath $context.protocol" '
    "$context.status $context.responseLength $context.requestId"
)
JSON = (
    '{ "requestId":"$context.requestId", "ip": "$context.identity.sourceIp", '
    '"caller":"$context.identity.caller", "user":"$context.identity.user", '
    '"requestTime":"$context.requestTime", "httpMethod":"$context.httpMethod", '
    '"resourcePath":"$context.resourcePath", "status":"$context.status", '
    '"protocol":"$context.protocol", "responseLength":"$context.responseLength" }'
)


def finished(**given: Any) -> Outcome:
    outcome = Outcome()
    outcome.status = 200
    outcome.response_length = 321
    outcome.response_latency_ms = 12.9
    outcome.integration_latency_ms = 11.2
    outcome.integration_status = 201
    for name, one in given.items():
        setattr(outcome, name, one)
    return outcome


def shown(name: str, request: Request, outcome: Outcome | None = None) -> str:
    return compile_format(f"$context.{name}")(request, outcome or finished())


# --- presets --------------------------------------------------------------------------------


def test_the_clf_preset() -> None:
    assert compile_format(CLF)(make_request(), finished()) == (
        '203.0.113.9 - - [09/Apr/2015:12:34:56 +0000] "GET /pets/{petId} HTTP/1.1" 200 321 '
        + REQUEST_ID
    )


def test_the_json_preset_is_json() -> None:
    assert json.loads(compile_format(JSON)(make_request(), finished())) == {
        "requestId": REQUEST_ID,
        "ip": "203.0.113.9",
        "caller": "-",
        "user": "-",
        "requestTime": "09/Apr/2015:12:34:56 +0000",
        "httpMethod": "GET",
        "resourcePath": "/pets/{petId}",
        "status": "200",
        "protocol": "HTTP/1.1",
        "responseLength": "321",
    }


# --- variables ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "rest", "http"),
    [
        ("accountId", "000000000000", "000000000000"),
        ("apiId", "abcdef1234", "abcdef1234"),
        ("awsEndpointRequestId", "-", "-"),
        ("dataProcessed", "321", "321"),
        ("deploymentId", "d1", "d1"),
        ("domainName", "api.example.test", "api.example.test"),
        ("domainPrefix", "api", "api"),
        ("extendedRequestId", SHORT_ID, SHORT_ID),
        ("httpMethod", "GET", "GET"),
        ("identity.sourceIp", "203.0.113.9", "203.0.113.9"),
        ("identity.userAgent", "curl/8", "curl/8"),
        ("identity.userArn", "-", "-"),
        ("integration.error", "-", "-"),
        ("integration.integrationStatus", "201", "201"),
        ("integration.latency", "11", "11"),
        ("integration.status", "201", "201"),
        ("integrationErrorMessage", "-", "-"),
        ("integrationLatency", "11", "11"),
        ("integrationStatus", "201", "201"),
        ("path", "/dev/pets/a%20b", "/dev/pets/a b"),
        ("protocol", "HTTP/1.1", "HTTP/1.1"),
        ("requestId", REQUEST_ID, SHORT_ID),
        ("requestTime", "09/Apr/2015:12:34:56 +0000", "09/Apr/2015:12:34:56 +0000"),
        ("requestTimeEpoch", str(NOON_MS), str(NOON_MS)),
        ("resourceId", "r12345", "-"),
        ("resourcePath", "/pets/{petId}", "-"),
        ("responseLatency", "12", "12"),
        ("responseLength", "321", "321"),
        ("routeKey", "-", "GET /pets/{petId}"),
        ("stage", "dev", "dev"),
        ("status", "200", "200"),
        ("xrayTraceId", "1-5e272390-8c398be037738dc042009320", None),
        ("nothing.like.it", "-", "-"),
    ],
)
def test_variables_of_both_kinds(name: str, rest: str, http: str | None) -> None:
    """AWS §10.2, §10.4."""
    for kind, wanted in ((ApiKind.REST, rest), (ApiKind.HTTP, http)):
        request = make_request(
            kind,
            target="/dev/pets/a%20b",
            stage="dev",
            headers=[(b"user-agent", b"curl/8")],
        )
        if wanted is not None:
            assert shown(name, request) == wanted


def test_variables_of_a_refusal() -> None:
    outcome = finished(
        error=ErrorKind.MISSING_AUTHENTICATION_TOKEN,
        status=403,
        integration_latency_ms=-1.0,
        integration_status=0,
    )
    request = make_request()
    assert shown("error.message", request, outcome) == "Missing Authentication Token"
    assert shown("error.messageString", request, outcome) == '"Missing Authentication Token"'
    assert shown("error.responseType", request, outcome) == "MISSING_AUTHENTICATION_TOKEN"
    assert shown("integrationLatency", request, outcome) == "-"
    assert shown("integrationStatus", request, outcome) == "-"
    for name in ("error.message", "error.messageString", "error.responseType"):
        assert shown(name, request) == "-"


def test_a_request_that_never_reached_a_route_has_a_line() -> None:
    request = make_request(routed=False)
    line = compile_format("$context.status $context.resourcePath $context.path")
    assert line(request, finished(status=404)) == "404 - /pets/7"
    assert value("resourcePath", request) is None


def test_the_client_left_before_an_answer() -> None:
    assert shown("status", make_request(), Outcome()) == "-"


def test_a_client_s_own_request_id_that_is_no_uuid() -> None:
    """AWS §2.4: access logs show a constant."""
    request = make_request(headers=[(b"X-Amzn-RequestId", b"forged")])
    assert shown("requestId", request) == REPLACED_REQUEST_ID
    assert value("requestId", request) == REQUEST_ID
    request = make_request(headers=[(b"X-Amzn-RequestId", REQUEST_ID.encode())])
    assert shown("requestId", request) == REQUEST_ID


def test_values_for_parameter_mapping() -> None:
    """AWS §3.7: any member without `$`; what only a finished request has is unset."""
    request = make_request()
    assert value("requestId", request) == REQUEST_ID
    assert value("identity.sourceIp", request) == "203.0.113.9"
    assert value("path", request) == "/pets/7"
    for name in ("status", "responseLength", "error.message", "unheard.of", "", "authorizer.x"):
        assert value(name, request) is None
    # A missing source sets nothing.
    assert value("identity.userAgent", request) is None
    assert value("operationName", request) is None


# --- formats --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format_", "line"),
    [
        ("", ""),
        ("no variables, 100 %", "no variables, 100 %"),
        ("%s $context.status %d", "%s 200 %d"),
        ("$context.status.", "200."),
        ("$context.status$context.status", "200200"),
        ("$context.", "$context."),
        ("$context", "$context"),
        ("$contextual.status", "$contextual.status"),
        ("$stageVariables.a", "$stageVariables.a"),
        ("a\nb\r\nc\n", "a b c"),
        ("$context.statusX", "-"),
    ],
)
def test_what_is_no_variable_stays(format_: str, line: str) -> None:
    assert compile_format(format_)(make_request(), finished()) == line


def test_an_agent_cannot_write_lines_or_members() -> None:
    agent = b'x"}\r\n{"status":"200", "a\\":"\x00\x1b[31m \xe2\x80\xa8 \x85'
    line = compile_format('{"agent":"$context.identity.userAgent","s":"$context.status"}')(
        make_request(headers=[(b"User-Agent", agent)]), finished(status=500)
    )
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    said = json.loads(line)
    assert said.keys() == {"agent", "s"}
    assert said["s"] == "500"
    assert said["agent"] == header_text(agent)


def test_an_escaped_line_break_in_a_path_stays_one_line() -> None:
    request = make_request(ApiKind.HTTP, target="/a%0a%22b%E2%80%A9")
    line = compile_format('"$context.path"')(request, finished())
    assert line == '"/a\\n\\"b\\u2029"'


@given(
    st.text(max_size=60),
    st.binary(max_size=60),
    st.binary(max_size=60),
    st.sampled_from(["identity.userAgent", "path", "domainName", "httpMethod", "requestId"]),
    st.sampled_from(list(ApiKind)),
)
def test_no_value_and_no_format_breaks_a_line(
    format_: str, agent: bytes, path: bytes, name: str, kind: ApiKind
) -> None:
    request = make_request(
        kind, target="/" + path.decode("latin-1"), headers=[(b"User-Agent", agent)]
    )
    request.domain_name = agent.decode("latin-1")
    request.method = path.decode("latin-1")
    line = compile_format(f'{format_}"$context.{name}"')(request, finished())
    assert len(line.splitlines()) <= 1
    assert "\n" not in line
    assert "\r" not in line


@given(st.binary(max_size=80))
def test_what_a_client_says_reads_back_from_a_json_line(agent: bytes) -> None:
    request = make_request(headers=[(b"User-Agent", agent)])
    line = compile_format('"$context.identity.userAgent"')(request, finished())
    assert json.loads(line) == (header_text(agent) or "-")


# --- paths ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "target", "stage", "local", "path"),
    [
        (ApiKind.REST, "/dev/pets/7", "dev", False, "/dev/pets/7"),
        # AWS §3.2.5, the table: before the stage slashes collapse, after it they do not.
        (ApiKind.REST, "//dev/pets", "dev", False, "/dev/pets"),
        (ApiKind.REST, "/dev//pets", "dev", False, "/dev//pets"),
        (ApiKind.REST, "/dev/pets/", "dev", False, "/dev/pets/"),
        (ApiKind.HTTP, "//pets", "$default", False, "//pets"),
        # Development addresses (design §3).
        (ApiKind.REST, "/_aws/execute-api/abcdef1234/dev/a%20b", "dev", True, "/dev/a%20b"),
        (ApiKind.REST, "/_aws/execute-api/abcdef1234/dev", "dev", True, "/dev"),
        (ApiKind.HTTP, "/_aws/execute-api/abcdef1234/$default/a", "$default", True, "/a"),
        (ApiKind.HTTP, "/_aws/execute-api/abcdef1234/$default", "$default", True, "/"),
        (ApiKind.REST, "/_aws/execute-api/x/y", "$default", False, "/_aws/execute-api/x/y"),
    ],
)
def test_the_path_with_its_stage(
    kind: ApiKind, target: str, stage: str, local: bool, path: str
) -> None:
    request = make_request(kind, target=target, stage=stage, local_paths=local)
    assert context_path(request) == path


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("/plain", "/plain"),
        ("/a%20b+c", "/a b+c"),
        ("%E2%98%95", "☕"),
        ("%ff", "\ufffd"),
        ("%zz%2", "%zz%2"),
        ("\u00e9", "\ufffd"),
        ("\u00c3\u00a9", "é"),
    ],
)
def test_paths_are_decoded_once(raw: str, text: str) -> None:
    assert decoded(raw) == text


@pytest.mark.parametrize(
    ("query", "pairs"),
    [
        ("", []),
        ("a=1&b=2", [("a", "1"), ("b", "2")]),
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=x", [("", "x")]),
        ("a=b=c", [("a", "b=c")]),
        ("&&a=1&", [("a", "1")]),
        ("a+b=c%2Bd+e", [("a b", "c+d e")]),
        ("q=%E2%98%95&q=%ff", [("q", "☕"), ("q", "\ufffd")]),
        ("a;b=1", [("a;b", "1")]),
    ],
)
def test_query_strings_are_decoded_in_order(query: str, pairs: list[tuple[str, str]]) -> None:
    """AWS §3.2: plus is a space, `%2B` a plus."""
    assert query_pairs(query) == pairs


def test_header_values_are_text() -> None:
    assert header_text("é".encode()) == "é"
    assert header_text(b"\xe9") == "é"


def test_the_domain_prefix() -> None:
    assert domain_prefix("pets.default.example.test") == "pets"
    assert domain_prefix("localhost") == "localhost"


# --- TLS and domains (AWS §10.2) ------------------------------------------------------------

SHOWN = {
    "tlsVersion": "TLSv1.3",
    "cipherSuite": "TLS_AES_128_GCM_SHA256",
    "identity.clientCert.clientCertPem": "PEM",
    "identity.clientCert.subjectDN": "CN=s",
    "identity.clientCert.issuerDN": "CN=i",
    "identity.clientCert.serialNumber": "a1:0f",
    "identity.clientCert.validity.notBefore": "May 28 12:30:02 2019 GMT",
    "identity.clientCert.validity.notAfter": "Aug  5 09:36:04 2021 GMT",
}


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_what_a_handshake_told(name: str) -> None:
    request = make_request()
    assert (value(name, request), shown(name, request)) == (None, "-")
    request.tls = HANDSHAKE
    assert (value(name, request), shown(name, request)) == (SHOWN[name], SHOWN[name])


def test_without_a_client_certificate_there_is_none() -> None:
    request = make_request()
    request.tls = TlsFacts(server_name="", version="TLSv1.2", cipher="C")
    assert shown("tlsVersion", request) == "TLSv1.2"
    assert shown("identity.clientCert.subjectDN", request) == "-"


def test_what_of_a_domain_matched_is_logged_and_not_mapped() -> None:
    request = make_request()
    names = ("customDomain.basePathMatched", "customDomain.routingRuleIdMatched")
    assert [shown(name, request) for name in names] == ["-", "-"]
    request.mapped, request.base_path, request.routing_rule = True, "orders/v1", "10"
    assert [shown(name, request) for name in names] == ["orders/v1", "10"]
    assert [value(name, request) for name in names] == [None, None]
