"""Events as functions see them: AWS §3.27, §4.4, §4.5, and every recorded case without its wire."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance_cases import Exchange, load
from conformance_cases import Request as SentRequest
from conformance_matching import differences
from portico_dataplane.core.messages import Headers, Request
from portico_dataplane.core.router import Miss, RouterBuilder
from portico_dataplane.integrations.function_event import build, http_v1, http_v2, rest, trace_of
from portico_ir.model import ApiKind, Stage
from sample_requests import HANDSHAKE, NOON_MS, REQUEST_ID, SHORT_ID, TRACE, make_request

# --- recorded -------------------------------------------------------------------------------

ANY = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"


def keys_of(case: Exchange) -> dict[str, str]:
    """Route keys of a case, and the payload format of each."""
    keys = {}
    for path, item in case.api.get("paths", {}).items():
        for method, operation in item.items():
            integration = operation.get(INTEGRATION, {}) if isinstance(operation, dict) else {}
            name = "ANY" if method == ANY else method.upper()
            key = "$default" if path == "/$default" else f"{name} {path}"
            keys[key] = str(integration.get("payloadFormatVersion", "1.0"))
    return keys


def events_expected() -> list[Any]:
    """Every step of a case that says what event a function must have received."""
    found = []
    needs = {"lambda", "stage-variables"}
    for case in load():
        if not isinstance(case, Exchange) or case.protocol == "websocket":
            continue
        extra = set(case.needs or []) - needs
        if extra and not (extra == {"binary"} and case.protocol == "http"):
            continue
        for number, step in enumerate(case.steps):
            for backend in step.expect.backends:
                if backend.event is not msgspec.UNSET:
                    found.append(
                        pytest.param(case, step.request, backend.event, id=f"{case.id}/{number}")
                    )
    return found


def routed(case: Exchange, sent: SentRequest) -> tuple[Request, bytes, str]:
    kind = ApiKind(case.protocol)
    keys = keys_of(case)
    prefix = "" if case.stage.name == "$default" else f"/{case.stage.name}"
    body = sent.body.encode() if sent.body is not None else base64.b64decode(sent.body_base64 or "")
    headers: Headers = [(name.encode(), value.encode()) for name, value in sent.headers]
    builder: RouterBuilder[str] = RouterBuilder(kind)
    for key in keys:
        builder.add(make_request(kind, key=key).route.match, key)
    path = sent.path.partition("?")[0]
    if kind is ApiKind.REST and path.startswith("//"):
        path = "/" + path.lstrip("/")
    found = builder.build().find(sent.method, path)
    assert not isinstance(found, Miss)
    request = make_request(
        kind,
        sent.method,
        prefix + sent.path,
        key=found.value,
        stage=case.stage.name,
        headers=headers,
        path_parameters=dict(found.parameters),
        variables=case.stage.variables,
    )
    request.path = path
    return request, body, keys[found.value]


@pytest.mark.parametrize(("case", "sent", "expected"), events_expected())
def test_as_recorded(case: Exchange, sent: SentRequest, expected: Any) -> None:
    request, body, payload_format = routed(case, sent)
    event = build(request, body, "2.0" if payload_format == "2.0" else "1.0")
    on_the_wire = msgspec.json.decode(msgspec.json.encode(event))
    assert not differences(expected, on_the_wire, "event", subset=True)


def test_recorded_events_are_here() -> None:
    assert len(events_expected()) >= 30


# --- whole events ---------------------------------------------------------------------------

HEADERS: Headers = [
    (b"User-Agent", b"curl/8"),
    (b"Accept", b"a"),
    (b"accept", b"b"),
    (b"Cookie", b"c1=v1; c2=v2"),
    (b"Content-Type", b"application/json"),
]
FORWARDED = {
    "X-Amzn-Trace-Id": TRACE,
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Proto": "https",
}
SENT = {
    "Host": "api.example.test",
    "User-Agent": "curl/8",
    "Accept": "b",
    "Cookie": "c1=v1; c2=v2",
    "Content-Type": "application/json",
}


def sample(kind: ApiKind, stage: str = "dev", **more: Any) -> Request:
    return make_request(
        kind,
        "POST",
        f"/{stage}/pets/a%20b?q=first&q=l%2Ba+st&empty=",
        key="POST /pets/{petId}",
        stage=stage,
        headers=HEADERS,
        path_parameters={"petId": "a%20b"},
        **more,
    )


def test_a_whole_rest_event() -> None:
    """AWS §3.27."""
    event = rest(sample(ApiKind.REST, variables={"k": "v"}), b'{"a":1}')
    multi = {name: [value] for name, value in {**SENT, **FORWARDED}.items()}
    assert event == {
        "resource": "/pets/{petId}",
        "path": "/pets/a%20b",
        "httpMethod": "POST",
        "headers": {**SENT, **FORWARDED},
        "multiValueHeaders": {**multi, "Accept": ["a", "b"]},
        "queryStringParameters": {"q": "l+a st", "empty": ""},
        "multiValueQueryStringParameters": {"q": ["first", "l+a st"], "empty": [""]},
        "pathParameters": {"petId": "a%20b"},
        "stageVariables": {"k": "v"},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdef1234",
            "deploymentId": "d1",
            "domainName": "api.example.test",
            "domainPrefix": "api",
            "extendedRequestId": SHORT_ID,
            "httpMethod": "POST",
            "identity": {
                "accessKey": None,
                "accountId": None,
                "caller": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "203.0.113.9",
                "user": None,
                "userAgent": "curl/8",
                "userArn": None,
            },
            "path": "/dev/pets/a%20b",
            "protocol": "HTTP/1.1",
            "requestId": REQUEST_ID,
            "requestTime": "09/Apr/2015:12:34:56 +0000",
            "requestTimeEpoch": NOON_MS,
            "resourceId": "r12345",
            "resourcePath": "/pets/{petId}",
            "stage": "dev",
        },
        "body": '{"a":1}',
        "isBase64Encoded": False,
    }


def test_what_format_1_changes() -> None:
    """AWS §4.5: REST's event but for these."""
    first = rest(sample(ApiKind.REST), b"{}")
    event = http_v1(sample(ApiKind.HTTP), b"{}")
    assert event["version"] == "1.0"
    assert event["path"] == "/dev/pets/a%20b"
    assert event["pathParameters"] == {"petId": "a b"}
    context = event["requestContext"]
    assert context["path"] == "/dev/pets/a b"
    assert context["resourceId"] == "POST /pets/{petId}"
    assert context["requestId"] == context["extendedRequestId"] == SHORT_ID
    assert context["identity"].keys() - first["requestContext"]["identity"].keys() == {"cognitoAmr"}
    assert "deploymentId" not in context
    assert event["headers"] == {**SENT, **FORWARDED, "Content-Length": "2"}
    assert event["multiValueHeaders"]["Content-Length"] == ["2"]
    changed = {"version", "path", "pathParameters", "requestContext", "headers"}
    changed |= {"multiValueHeaders"}
    assert {k: v for k, v in event.items() if k not in changed} == {
        k: v for k, v in first.items() if k not in changed
    }


def test_a_whole_event_of_format_2() -> None:
    """AWS §4.4."""
    event = http_v2(sample(ApiKind.HTTP, variables={"k": "v"}), b'{"a":1}')
    assert event == {
        "version": "2.0",
        "routeKey": "POST /pets/{petId}",
        "rawPath": "/dev/pets/a b",
        "rawQueryString": "q=first&q=l%2Ba+st&empty=",
        "cookies": ["c1=v1", "c2=v2"],
        "headers": {
            "host": "api.example.test",
            "user-agent": "curl/8",
            "accept": "a,b",
            "content-type": "application/json",
            "content-length": "7",
            **{name.lower(): value for name, value in FORWARDED.items()},
        },
        "queryStringParameters": {"q": "first,l+a st", "empty": ""},
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdef1234",
            "domainName": "api.example.test",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": "/dev/pets/a b",
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "curl/8",
            },
            "requestId": SHORT_ID,
            "routeKey": "POST /pets/{petId}",
            "stage": "dev",
            "time": "09/Apr/2015:12:34:56 +0000",
            "timeEpoch": NOON_MS,
        },
        "pathParameters": {"petId": "a b"},
        "stageVariables": {"k": "v"},
        "body": '{"a":1}',
        "isBase64Encoded": False,
    }


def test_format_2_leaves_out_what_is_not_there() -> None:
    event = http_v2(make_request(ApiKind.HTTP, target="/x", key="$default"), b"")
    absent = {"cookies", "queryStringParameters", "pathParameters", "stageVariables", "body"}
    assert not absent & event.keys()
    assert event["requestContext"]["http"]["userAgent"] == ""


def test_format_1_of_the_default_route() -> None:
    """As observed on AWS: `$default` stands in all three places."""
    event = http_v1(make_request(ApiKind.HTTP, target="/x", key="$default"), b"")
    context = event["requestContext"]
    assert event["resource"] == context["resourceId"] == context["resourcePath"] == "$default"
    assert context["identity"]["userAgent"] == ""


def test_rest_nulls() -> None:
    """AWS §3.27: empty maps are null."""
    event = rest(make_request(target="/", key="GET /"), b"")
    names = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters")
    for name in (*names, "stageVariables", "body"):
        assert event[name] is None
    assert event["requestContext"]["identity"]["userAgent"] is None


# --- paths ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "path", "event_path", "context_path"),
    [
        # AWS §3.2.5, the table.
        ("/stage/proxy-value/", "/proxy-value/", "/proxy-value/", "/stage/proxy-value/"),
        ("/stage/a//b", "/a//b", "/a//b", "/stage/a//b"),
        ("//stage/proxy-value", "/proxy-value", "/proxy-value", "/stage/proxy-value"),
        ("/stage//hardcoded", "//hardcoded", "/hardcoded", "/stage//hardcoded"),
        ("/stage//hardcoded", "/hardcoded", "/hardcoded", "/stage//hardcoded"),
        ("/stage", "/", "/", "/stage"),
        ("/stage/x/test%2Ba@b.c/t+a", "/x/test%2Ba@b.c/t+a", "/x/test%2Ba@b.c/t+a", None),
    ],
)
def test_rest_paths(raw: str, path: str, event_path: str, context_path: str | None) -> None:
    request = make_request(target=raw, stage="stage", key="ANY /{proxy+}")
    request.path = path
    event = rest(request, b"")
    assert event["path"] == event_path
    assert event["requestContext"]["path"] == (context_path or raw)


def test_a_question_mark_that_was_encoded_cuts_raw_path() -> None:
    """AWS §4.4, observed."""
    event = http_v2(make_request(ApiKind.HTTP, target="/a%3Fb/c?d=1", key="$default"), b"")
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/a"
    assert event["rawQueryString"] == "d=1"


def test_a_semicolon_splits_a_rest_query() -> None:
    """AWS §3.2."""
    target = "/x?a=1;b=2&c=3"
    event = rest(make_request(target=target), b"")
    assert event["queryStringParameters"] == {"a": "1", "b": "2", "c": "3"}
    event = http_v2(make_request(ApiKind.HTTP, target=target), b"")
    assert event["queryStringParameters"] == {"a": "1;b=2", "c": "3"}


# --- headers --------------------------------------------------------------------------------

FORMATS = [(ApiKind.REST, "1.0"), (ApiKind.HTTP, "1.0"), (ApiKind.HTTP, "2.0")]


def lower(event: dict[str, Any]) -> dict[str, str]:
    return {name.lower(): value for name, value in event["headers"].items()}


@pytest.mark.parametrize(("kind", "form"), FORMATS)
@pytest.mark.parametrize(
    "name",
    [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
        "Expect",
        "Proxy-Authenticate",
        "Proxy-Authorization",
    ],
)
def test_hop_by_hop_headers_end_here(kind: ApiKind, form: Any, name: str) -> None:
    """AWS §3.8, RFC 9110 §7.6.1."""
    event = build(make_request(kind, headers=[(name.encode(), b"close")]), b"", form)
    assert name.lower() not in lower(event)


@pytest.mark.parametrize(("kind", "form"), FORMATS)
def test_names_that_connection_lists_end_here(kind: ApiKind, form: Any) -> None:
    headers: Headers = [(b"Connection", b"X-Hop, close"), (b"x-hop", b"1"), (b"X-Stay", b"1")]
    event = build(make_request(kind, headers=headers), b"", form)
    assert "x-hop" not in lower(event)
    assert lower(event)["x-stay"] == "1"


@pytest.mark.parametrize("name", ["Content-MD5", "Max-Forwards", "Server", "WWW-Authenticate"])
def test_rest_drops_more(name: str) -> None:
    """AWS §3.8, Lambda column."""
    headers: Headers = [(name.encode(), b"x")]
    assert name.lower() not in lower(rest(make_request(headers=headers), b""))
    assert name.lower() in lower(http_v1(make_request(ApiKind.HTTP, headers=headers), b""))


def test_a_signature_is_not_the_function_s_business() -> None:
    """AWS §3.8: Authorization passes unless it holds a SigV4 signature."""
    signed: Headers = [(b"Authorization", b"AWS4-HMAC-SHA256 Credential=AKIA")]
    assert "authorization" not in lower(rest(make_request(headers=signed), b""))
    other: Headers = [(b"Authorization", b"Bearer x")]
    assert lower(rest(make_request(headers=other), b""))["authorization"] == "Bearer x"


@pytest.mark.parametrize(("kind", "form"), FORMATS)
def test_what_says_where_a_request_came_from(kind: ApiKind, form: Any) -> None:
    """X-Forwarded-For is appended to, the others are ours alone (design §13)."""
    headers: Headers = [
        (b"x-forwarded-for", b"198.51.100.1"),
        (b"X-Forwarded-For", b"192.0.2.1"),
        (b"x-forwarded-port", b"1"),
        (b"X-FORWARDED-PROTO", b"gopher"),
        (b"x-amzn-trace-id", b"Root=forged"),
    ]
    event = lower(build(make_request(kind, headers=headers), b"", form))
    assert event["x-forwarded-for"] == "198.51.100.1, 192.0.2.1, 203.0.113.9"
    assert event["x-forwarded-port"] == "443"
    assert event["x-forwarded-proto"] == "https"
    assert event["x-amzn-trace-id"] == TRACE


@pytest.mark.parametrize(
    ("kind", "form", "length"),
    [(ApiKind.REST, "1.0", None), (ApiKind.HTTP, "1.0", "3"), (ApiKind.HTTP, "2.0", "3")],
)
def test_content_length_is_that_of_the_body(kind: ApiKind, form: Any, length: str | None) -> None:
    """REST events have none (recorded); with a chunked client it is what arrived."""
    headers: Headers = [(b"Transfer-Encoding", b"chunked"), (b"content-length", b"999")]
    event = build(make_request(kind, headers=headers), b"abc", form)
    assert lower(event).get("content-length") == length


def test_spelling_is_the_first_client_s() -> None:
    """AWS §3.27: casing is preserved; spellings of one name are one header."""
    headers: Headers = [(b"tEsT-HEADeR", b"1"), (b"Test-Header", b"2")]
    event = rest(make_request(headers=headers), b"")
    assert event["multiValueHeaders"]["tEsT-HEADeR"] == ["1", "2"]
    assert event["headers"]["tEsT-HEADeR"] == "2"
    assert "Test-Header" not in event["headers"]


def test_cookies_of_several_lines() -> None:
    headers: Headers = [(b"Cookie", b"a=1; b=2;"), (b"cookie", b" c=3 ; ;d")]
    event = http_v2(make_request(ApiKind.HTTP, headers=headers), b"")
    assert event["cookies"] == ["a=1", "b=2", "c=3", "d"]
    assert "cookie" not in event["headers"]


def test_a_trace_id_nobody_made_is_made_here() -> None:
    request = make_request(trace_id="")
    made = trace_of(request)
    assert made.startswith(f"Root=1-{NOON_MS // 1000:08x}-")
    assert made == trace_of(request)
    request.headers.append((b"X-Amzn-Trace-Id", b"Root=1-3152b799-8954dae64eda91bc9a23a7e8"))
    assert trace_of(request) == "Root=1-3152b799-8954dae64eda91bc9a23a7e8"


# --- bodies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["1.0", "2.0"])
@pytest.mark.parametrize(
    ("headers", "is_base64"),
    [
        ([(b"Content-Type", b"application/json")], False),
        ([(b"Content-Type", b"APPLICATION/JSON; charset=utf-8")], False),
        ([(b"Content-Type", b"application/vnd.api+json")], False),
        ([(b"Content-Type", b"image/svg+xml")], False),
        ([(b"Content-Type", b"application/xml")], False),
        ([(b"Content-Type", b"application/javascript")], False),
        ([(b"Content-Type", b"text/csv")], False),
        ([(b"Content-Type", b"application/x-www-form-urlencoded")], True),
        ([(b"Content-Type", b"multipart/form-data; boundary=x")], True),
        ([(b"Content-Type", b"application/octet-stream")], True),
        ([(b"Content-Type", b"image/png")], True),
        ([(b"Content-Type", b"")], True),
        ([], True),
        ([(b"Content-Type", b"application/json"), (b"Content-Encoding", b"gzip")], True),
    ],
)
def test_which_bodies_of_http_apis_are_base64(form: Any, headers: Headers, is_base64: bool) -> None:
    """AWS §4.4, §18."""
    event = build(make_request(ApiKind.HTTP, headers=headers), b'{"a": 1}', form)
    assert event["isBase64Encoded"] is is_base64
    assert event["body"] == ("eyJhIjogMX0=" if is_base64 else '{"a": 1}')


def test_a_text_type_that_holds_other_bytes() -> None:
    headers: Headers = [(b"Content-Type", b"text/plain")]
    event = http_v2(make_request(ApiKind.HTTP, headers=headers), b"\xff\x00")
    assert (event["body"], event["isBase64Encoded"]) == ("/wA=", True)
    event = rest(make_request(headers=headers), b"\xff\x00")
    assert (event["body"], event["isBase64Encoded"]) == ("\ufffd\x00", False)


# --- domains of one's own, client certificates ------------------------------------------------

CERTIFICATE = {
    "clientCertPem": "PEM",
    "subjectDN": "CN=s",
    "issuerDN": "CN=i",
    "serialNumber": "a1:0f",
    "validity": {
        "notBefore": "May 28 12:30:02 2019 GMT",
        "notAfter": "Aug  5 09:36:04 2021 GMT",
    },
}


def mapped(kind: ApiKind = ApiKind.REST) -> Request:
    """`orders/v1` of a domain leads to a stage with a name."""
    request = make_request(kind, target="/orders/v1/pets/a%20b", stage="$default")
    request.stage = Stage(name="prod")
    request.path, request.mapped, request.base_path = "/pets/a%20b", True, "orders/v1"
    return request


def test_a_base_path_stays_where_aws_leaves_it() -> None:
    """AWS §3.27, §8.2: in every path, and the stage in none."""
    event = rest(mapped(), b"")
    assert event["path"] == event["requestContext"]["path"] == "/orders/v1/pets/a%20b"
    assert event["requestContext"]["stage"] == "prod"
    newer = http_v2(mapped(ApiKind.HTTP), b"")
    assert newer["rawPath"] == "/orders/v1/pets/a b"
    assert newer["requestContext"]["http"]["path"] == "/orders/v1/pets/a b"
    older = build(mapped(ApiKind.HTTP), b"", "1.0")
    assert older["path"] == "/orders/v1/pets/a%20b"


@pytest.mark.parametrize(("kind", "form"), FORMATS)
def test_a_client_certificate_is_told(kind: ApiKind, form: Any) -> None:
    def found(event: dict[str, Any]) -> Any:
        context = event["requestContext"]
        place = context if form == "2.0" and kind is ApiKind.HTTP else context["identity"]
        shown = place.get("authentication", {}) if place is context else place
        return shown.get("clientCert")

    request = make_request(kind)
    assert found(build(request, b"", form)) is None
    request.tls = HANDSHAKE
    assert found(build(request, b"", form)) == CERTIFICATE


# --- anything -------------------------------------------------------------------------------


@given(
    st.sampled_from(FORMATS),
    st.binary(max_size=40),
    st.lists(st.tuples(st.binary(min_size=1, max_size=8), st.binary(max_size=8)), max_size=4),
    st.binary(max_size=40),
)
def test_every_event_can_be_sent(
    form: tuple[ApiKind, Any], target: bytes, headers: Headers, body: bytes
) -> None:
    kind, payload_format = form
    request = make_request(
        kind,
        target="/" + target.decode("latin-1"),
        headers=headers,
        path_parameters={"p": target.decode("latin-1")},
    )
    event = build(request, body, payload_format)
    assert msgspec.json.decode(msgspec.json.encode(event)) == event
