"""What functions return and what comes of it: AWS §3.27, §4.4, §4.5, and every recorded case."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance_cases import CASES, Conversion, load
from conformance_matching import body_differences, differences, header_differences, name_differences
from portico_dataplane.core.errors import error_response
from portico_dataplane.core.identifiers import id_headers
from portico_dataplane.core.messages import Response
from portico_dataplane.core.verdicts import Reject
from portico_dataplane.integrations.function_answer import convert
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind

REST = (ApiKind.REST, "1.0")
HTTP1 = (ApiKind.HTTP, "1.0")
HTTP2 = (ApiKind.HTTP, "2.0")
ALL = (REST, HTTP1, HTTP2)
How = tuple[ApiKind, str]

CONVERSIONS = [case for case in load() if isinstance(case, Conversion)]


def converted(how: How, returned: Any) -> Response | Reject:
    return convert(*how, json.dumps(returned).encode(), "")


def accepted(how: How, returned: Any) -> Response:
    response = converted(how, returned)
    assert isinstance(response, Response), response
    return response


def malformed(how: How, returned: Any) -> bool:
    response = converted(how, returned)
    if isinstance(response, Response):
        return False
    assert response.kind is ErrorKind.MALFORMED_FUNCTION_ANSWER
    assert response.cause
    return True


def lines(response: Response) -> list[tuple[str, str]]:
    return [(name.decode(), value.decode()) for name, value in response.headers]


def values(response: Response, name: str) -> list[str]:
    return [value for key, value in lines(response) if key.lower() == name]


# --- recorded -------------------------------------------------------------------------------


def test_all_conversions_are_here() -> None:
    assert len(CONVERSIONS) >= 42, CASES


@pytest.mark.parametrize("case", CONVERSIONS, ids=lambda case: case.id)
def test_as_recorded(case: Conversion) -> None:
    """The answer as it goes out: ids and length are the writer's, errors are errors.py's."""
    kind = ApiKind(case.protocol)
    if case.raises is not None:
        raw = json.dumps({"errorMessage": case.raises, "errorType": "Exception"}).encode()
    else:
        raw = case.raw.encode() if case.raw is not None else json.dumps(case.returns).encode()
    result = convert(kind, case.payload, raw, "Unhandled" if case.raises is not None else "")
    if isinstance(result, Reject):
        response = error_response(result.kind, kind, request_id="r", extended_id="x")
    else:
        response = result
        response.headers += id_headers(kind, "r", "x")
    sent = [*lines(response), ("Content-Length", str(len(response.body)))]
    expect = case.expect
    found = differences(expect.status, response.status, "status")
    found += header_differences(expect.headers, sent, "header")
    found += name_differences(expect.header_names, sent)
    if expect.body is not msgspec.UNSET:
        found += body_differences(expect.body, response.body, "body")
    if expect.json is not msgspec.UNSET:
        found += differences(expect.json, json.loads(response.body), "json")
    assert not found


# --- failure --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("error", ["Unhandled", "Handled"])
def test_a_function_that_fails(how: How, error: str) -> None:
    """Whatever it says then is not an answer, even if it looks like one."""
    result = convert(*how, b'{"statusCode": 200, "body": "secret"}', error)
    assert isinstance(result, Reject)
    assert result.kind is ErrorKind.FUNCTION_FAILURE
    assert "secret" not in result.cause


# --- status ---------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("status", [200, 201, 299, 302, 404, 418, 500, 599, "201", "503"])
def test_statuses(how: How, status: int | str) -> None:
    """AWS §3.27: digits as text are taken."""
    assert accepted(how, {"statusCode": status}).status == int(status)


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize(
    "status",
    # AWS §3.27, §4.4: 0, floats, text. Interim ones would leave the client waiting.
    [
        0,
        -1,
        1,
        99,
        100,
        101,
        199,
        600,
        1000,
        200.0,
        200.5,
        True,
        False,
        "",
        "test",
        "20",
        "2000",
        " 200",
        "200.0",
        "٢٠٠",
        [200],
        {"a": 1},
        10**30,
        1e300,
    ],
)
def test_statuses_that_are_none(how: How, status: object) -> None:
    assert malformed(how, {"statusCode": status, "body": "replaced"})


def test_without_a_status() -> None:
    """REST: 200. Format 1.0: malformed. Format 2.0: the object itself (AWS §4.4)."""
    for returned in ({"body": "x"}, {"statusCode": None, "body": "x"}):
        assert accepted(REST, returned).status == 200
        assert malformed(HTTP1, returned)
        assert json.loads(accepted(HTTP2, returned).body) == returned


# --- shape ----------------------------------------------------------------------------------


@pytest.mark.parametrize("returned", [None, "", "text", 7, 1.5, True, [], [{"statusCode": 200}]])
def test_what_is_no_object(returned: object) -> None:
    assert malformed(REST, returned)
    assert malformed(HTTP1, returned)
    response = accepted(HTTP2, returned)
    assert response.status == 200
    assert lines(response) == [("Content-Type", "application/json")]
    body = returned if isinstance(returned, str) else json.dumps(returned)
    assert response.body.decode() == body


@pytest.mark.parametrize(
    "raw", [b"", b"not json", b"{", b'{"statusCode": 200', b"\xff\xfe", b"NaN"]
)
def test_what_is_no_json(raw: bytes) -> None:
    for how in (REST, HTTP1):
        result = convert(*how, raw, "")
        assert isinstance(result, Reject)
        assert result.kind is ErrorKind.MALFORMED_FUNCTION_ANSWER
    inferred = convert(*HTTP2, raw, "")
    assert isinstance(inferred, Response)
    assert (inferred.status, inferred.body) == (200, raw)


@pytest.mark.parametrize(
    "extra", [{"wrongValue": "v"}, {"cookies": []}, {"errorMessage": "x"}, {"Body": "x"}, {"": 1}]
)
def test_unknown_members(extra: dict[str, Any]) -> None:
    """REST refuses the whole, HTTP APIs ignore them (AWS §3.27, §4.5)."""
    returned = {"statusCode": 200, "body": "ok", **extra}
    assert malformed(REST, returned)
    assert accepted(HTTP1, returned).body == b"ok"
    assert accepted(HTTP2, returned).body == b"ok"


def test_an_object_that_speaks_of_an_error_is_none_of_format_2() -> None:
    """Recorded by localstack (test_aws_proxy_response_payload_format_validation_v2)."""
    assert malformed(HTTP2, {"errorMessage": "test fake error message"})
    assert accepted(HTTP2, {"statusCode": 200, "errorMessage": "x"}).status == 200
    assert accepted(HTTP2, "errorMessage").body == b"errorMessage"


def test_deep_nesting_is_no_crash() -> None:
    raw = b"[" * 100_000 + b"]" * 100_000
    assert isinstance(convert(*REST, raw, ""), Reject)
    assert isinstance(convert(*HTTP2, raw, ""), Response)


# --- body -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ("text", b"text"),
        ("λ", "λ".encode()),
        ("", b""),
        (None, b""),
        (7, b"7"),
        (True, b"true"),
        (False, b"false"),
        ("\ud800", b"?"),
    ],
)
def test_bodies(how: How, body: object, sent: bytes) -> None:
    assert accepted(how, {"statusCode": 200, "body": body}).body == sent


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("body", [{"message": "not text"}, ["a"]])
def test_bodies_that_are_structures(how: How, body: object) -> None:
    assert malformed(how, {"statusCode": 200, "body": body})


def test_base64() -> None:
    """AWS §3.6: REST without binary types sends the text; HTTP APIs always decode."""
    returned = {"statusCode": 200, "body": "AAEC/w==", "isBase64Encoded": True}
    assert accepted(REST, returned).body == b"AAEC/w=="
    assert accepted(HTTP1, returned).body == b"\x00\x01\x02\xff"
    assert accepted(HTTP2, returned).body == b"\x00\x01\x02\xff"
    wrapped = returned | {"body": "AAEC\r\n/w=="}
    assert accepted(HTTP2, wrapped).body == b"\x00\x01\x02\xff"


@pytest.mark.parametrize("how", [HTTP1, HTTP2])
@pytest.mark.parametrize("body", ["not base64!", "AAE", "λ"])
def test_base64_that_is_none(how: How, body: str) -> None:
    assert malformed(how, {"statusCode": 200, "body": body, "isBase64Encoded": True})
    assert accepted(how, {"statusCode": 200, "body": body, "isBase64Encoded": False}).body


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("flag", ["true", [], {}, 2])
def test_a_flag_that_is_none(how: How, flag: object) -> None:
    assert malformed(how, {"statusCode": 200, "isBase64Encoded": flag})


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(how: How, status: int) -> None:
    """RFC 9110 §6.4.1: bytes here would be read as the next answer."""
    assert accepted(how, {"statusCode": status, "body": "smuggled"}).body == b""


# --- headers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "default"),
    [
        (REST, "application/json"),
        (HTTP1, "text/plain; charset=utf-8"),
        (HTTP2, "text/plain; charset=utf-8"),
    ],
)
def test_content_type(how: How, default: str) -> None:
    """AWS §15.6."""
    assert values(accepted(how, {"statusCode": 200}), "content-type") == [default]
    own = accepted(how, {"statusCode": 200, "headers": {"CONTENT-type": "text/html"}})
    assert lines(own) == [("CONTENT-type", "text/html")]


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize(
    ("given", "sent"),
    [("v", "v"), (True, "true"), (False, "false"), (7, "7"), (1.5, "1.5"), (" a ", "a"), ("", "")],
)
def test_scalar_values(how: How, given: object, sent: str) -> None:
    response = accepted(how, {"statusCode": 200, "headers": {"x-v": given}})
    assert values(response, "x-v") == [sent]


@pytest.mark.parametrize("how", ALL)
def test_null_values_and_maps(how: How) -> None:
    response = accepted(
        how, {"statusCode": 200, "headers": {"x-v": None}, "multiValueHeaders": None}
    )
    assert values(response, "x-v") == []
    assert accepted(how, {"statusCode": 200, "headers": None}).status == 200


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("headers", [[], "x", 7, {"x-v": []}, {"x-v": {}}, {"x-v": ["a"]}])
def test_headers_that_are_none(how: How, headers: object) -> None:
    assert malformed(how, {"statusCode": 200, "headers": headers})


@pytest.mark.parametrize("how", [REST, HTTP1])
@pytest.mark.parametrize("headers", [[], "x", {"x-v": "a"}, {"x-v": {}}, {"x-v": [[]]}])
def test_multi_value_headers_that_are_none(how: How, headers: object) -> None:
    assert malformed(how, {"statusCode": 200, "multiValueHeaders": headers})


def test_format_2_has_no_multi_value_headers() -> None:
    response = accepted(HTTP2, {"statusCode": 200, "multiValueHeaders": {"x-v": ["a"]}})
    assert values(response, "x-v") == []


def test_merging() -> None:
    """AWS §15.8: REST lists the multi values first and spells as they do; format 1.0 reverses."""
    returned = {
        "statusCode": 200,
        "headers": {"x-both": "one", "X-Single": "s"},
        "multiValueHeaders": {"X-BOTH": ["two", "three"], "x-multi": ["m", 4]},
    }
    rest = [line for line in lines(accepted(REST, returned)) if line[0].lower() == "x-both"]
    assert rest == [("X-BOTH", "two"), ("X-BOTH", "three"), ("X-BOTH", "one")]
    http = [line for line in lines(accepted(HTTP1, returned)) if line[0].lower() == "x-both"]
    assert http == [("x-both", "one"), ("x-both", "two"), ("x-both", "three")]
    for how in (REST, HTTP1):
        assert values(accepted(how, returned), "x-multi") == ["m", "4"]


def test_cookies() -> None:
    """AWS §4.4."""
    response = accepted(
        HTTP2,
        {"statusCode": 200, "headers": {"Set-Cookie": "z=0"}, "cookies": ["a=1", "b=2", None]},
    )
    assert values(response, "set-cookie") == ["z=0", "a=1", "b=2"]
    assert malformed(HTTP2, {"statusCode": 200, "cookies": {"a": "1"}})
    assert malformed(HTTP2, {"statusCode": 200, "cookies": "a=1"})
    assert malformed(HTTP2, {"statusCode": 200, "cookies": ["a=1\r\nX: y"]})
    assert malformed(HTTP2, {"statusCode": 200, "cookies": [["a"]]})


BAD_NAMES = ["", "a b", "a:b", "a\r\nX-Evil: 1", "a\n", "é", "\x00", "a\tb", "(x)", "\ud800"]
BAD_VALUES = ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\x00", "\x1b[0m", "a\x7f", "\ud800"]


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_cannot_break_out(how: How, name: str) -> None:
    assert malformed(how, {"statusCode": 200, "headers": {name: "v"}})
    if how is not HTTP2:
        assert malformed(how, {"statusCode": 200, "multiValueHeaders": {name: ["v"]}})


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize("value", BAD_VALUES)
def test_a_value_cannot_break_out(how: How, value: str) -> None:
    assert malformed(how, {"statusCode": 200, "headers": {"x-v": value}})
    if how is not HTTP2:
        assert malformed(how, {"statusCode": 200, "multiValueHeaders": {"x-v": [value]}})


@pytest.mark.parametrize("how", ALL)
def test_other_letters_are_sent_as_utf_8(how: How) -> None:
    response = accepted(how, {"statusCode": 200, "headers": {"x-v": "é\tλ"}})
    assert (b"x-v", "é\tλ".encode()) in response.headers


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize(
    "name", ["Transfer-Encoding", "TE", "Trailer", "Upgrade", "Keep-Alive", "Proxy-Connection"]
)
def test_framing_is_not_the_function_s(how: How, name: str) -> None:
    response = accepted(how, {"statusCode": 200, "headers": {name: "chunked", "x-v": "v"}})
    assert values(response, name.lower()) == []
    assert values(response, "x-v") == ["v"]


@pytest.mark.parametrize(
    "name",
    [
        "Content-Length",
        "Connection",
        "Date",
        "Server",
        "WWW-Authenticate",
        "User-Agent",
        "Authorization",
        "Content-MD5",
        "Max-Forwards",
        "x-amzn-RequestId",
        "X-Amz-Apigw-Id",
    ],
)
def test_rest_renames(name: str) -> None:
    """AWS §3.8, Lambda column: `x-amzn-Remapped-<Name>`, in the function's spelling."""
    response = accepted(REST, {"statusCode": 200, "headers": {name: "v"}})
    assert (f"x-amzn-Remapped-{name}", "v") in lines(response)
    assert values(response, name.lower()) == []


@pytest.mark.parametrize("name", ["Expect", "Host", "Proxy-Authenticate", "Via"])
def test_rest_drops(name: str) -> None:
    """AWS §3.8."""
    response = accepted(REST, {"statusCode": 200, "headers": {name: "v"}})
    assert lines(response) == [("Content-Type", "application/json")]


@pytest.mark.parametrize("how", [HTTP1, HTTP2])
@pytest.mark.parametrize("name", ["Content-Length", "Connection", "Date", "Apigw-Requestid"])
def test_http_apis_drop(how: How, name: str) -> None:
    response = accepted(how, {"statusCode": 200, "headers": {name: "v"}})
    assert lines(response) == [("Content-Type", "text/plain; charset=utf-8")]


@pytest.mark.parametrize("how", ALL)
def test_the_trace_id_is_the_gateway_s(how: How) -> None:
    response = accepted(how, {"statusCode": 200, "headers": {"X-Amzn-Trace-Id": "Root=forged"}})
    assert values(response, "x-amzn-trace-id") == []


@pytest.mark.parametrize("how", ALL)
@pytest.mark.parametrize(
    "name", ["Age", "Content-Encoding", "Location", "ETag", "Access-Control-Allow-Origin", "Vary"]
)
def test_everything_else_passes(how: How, name: str) -> None:
    response = accepted(how, {"statusCode": 200, "headers": {name: "v"}})
    assert (name, "v") in lines(response)


# --- anything -------------------------------------------------------------------------------

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "statusCode": st.sampled_from([200, "201", 0, 1.5]) | JSON_VALUES,
        "headers": st.dictionaries(st.text(max_size=6), JSON_VALUES, max_size=3) | JSON_VALUES,
        "multiValueHeaders": st.dictionaries(
            st.sampled_from(["x-a", "Content-Type", "date"]) | st.text(max_size=4),
            st.lists(JSON_VALUES, max_size=2) | JSON_VALUES,
            max_size=3,
        ),
        "body": JSON_VALUES,
        "isBase64Encoded": st.booleans() | JSON_VALUES,
        "cookies": st.lists(st.text(max_size=8), max_size=2) | JSON_VALUES,
    },
)


def check(how: How, raw: bytes) -> None:
    result = convert(*how, raw, "")
    if isinstance(result, Reject):
        assert result.kind is ErrorKind.MALFORMED_FUNCTION_ANSWER
        return
    assert 200 <= result.status <= 599
    for name, value in result.headers:
        assert name
        assert not set(name) & set(b"\r\n\0: ")
        assert not set(value) & set(b"\r\n\0")
    assert len([name for name, _ in result.headers if name.lower() == b"content-type"]) >= 1


@given(st.sampled_from(ALL), st.binary(max_size=200))
def test_no_bytes_raise(how: How, raw: bytes) -> None:
    check(how, raw)


@given(st.sampled_from(ALL), ANSWERS | JSON_VALUES)
def test_no_json_raises(how: How, returned: Any) -> None:
    check(how, json.dumps(returned).encode())
