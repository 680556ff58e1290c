"""Every error has its answer: AWS §2.3, §2.4, §3.12 and the table of design §6, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.errors import closes, error_message, error_response, error_status
from portico_dataplane.core.messages import Response
from portico_ir.errors import ErrorKind as E
from portico_ir.model import ApiKind

KINDS: tuple[ApiKind | None, ...] = (*ApiKind, None)


def answer(kind: E, api_kind: ApiKind | None, **more: Any) -> Response:
    return error_response(kind, api_kind, request_id="rid", extended_id="xid", **more)


def headers(response: Response) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in response.headers}


# status, exact body, x-amzn-ErrorType
REST = {
    E.ACCESS_DENIED: (
        403,
        '{"Message":"User is not authorized to access this resource"}',
        "AccessDeniedException",
    ),
    E.API_CONFIGURATION_ERROR: (
        500,
        '{"message": "Internal server error"}',
        "InternalServerErrorException",
    ),
    E.AUTHORIZER_CONFIGURATION_ERROR: (
        500,
        '{"message":null}',
        "AuthorizerConfigurationException",
    ),
    E.AUTHORIZER_FAILURE: (500, '{"message":null}', "AuthorizerFailureException"),
    E.BAD_REQUEST_BODY: (400, '{"message":"Invalid request body"}', "BadRequestException"),
    E.INTEGRATION_FAILURE: (
        504,
        '{"message":"Network error communicating with endpoint"}',
        "InternalServerErrorException",
    ),
    E.INTEGRATION_TIMEOUT: (
        504,
        '{"message":"Endpoint request timed out"}',
        "InternalServerErrorException",
    ),
    E.INVALID_API_KEY: (403, '{"message":"Forbidden"}', "ForbiddenException"),
    E.MISSING_AUTHENTICATION_TOKEN: (
        403,
        '{"message":"Missing Authentication Token"}',
        "MissingAuthenticationTokenException",
    ),
    E.QUOTA_EXCEEDED: (429, '{"message":"Limit Exceeded"}', "LimitExceededException"),
    E.REQUEST_TOO_LARGE: (413, '{"message":"Request Too Long"}', "RequestTooLargeException"),
    E.URI_TOO_LONG: (414, '{"message":"Request URI too long"}', "RequestUriTooLongException"),
    E.THROTTLED: (429, '{"message":"Too Many Requests"}', "TooManyRequestsException"),
    E.UNAUTHORIZED: (401, '{"message":"Unauthorized"}', "UnauthorizedException"),
    E.UNSUPPORTED_MEDIA_TYPE: (
        415,
        '{"message":"Unsupported Media Type"}',
        "BadRequestException",
    ),
    # 36 bytes (AWS §15.5).
    E.MALFORMED_FUNCTION_ANSWER: (
        502,
        '{"message": "Internal server error"}',
        "InternalServerErrorException",
    ),
    E.FUNCTION_FAILURE: (
        502,
        '{"message": "Internal server error"}',
        "InternalServerErrorException",
    ),
    E.NO_ENDPOINT: (503, '{"message":"Service Unavailable"}', "ServiceUnavailableException"),
    E.BROKEN_ROUTE: (
        500,
        '{"message": "Internal server error"}',
        "InternalServerErrorException",
    ),
    E.UNKNOWN_HOST: (403, '{"message":"Forbidden"}', "ForbiddenException"),
    E.UNKNOWN_STAGE: (403, '{"message":"Forbidden"}', "ForbiddenException"),
    E.DEFAULT_ENDPOINT_DISABLED: (403, '{"message":"Forbidden"}', "ForbiddenException"),
    E.BAD_REQUEST: (400, '{"message":"Bad Request"}', "BadRequestException"),
    E.HEAD_TOO_LARGE: (
        431,
        '{"message":"Request header fields too large"}',
        "RequestHeaderFieldsTooLargeException",
    ),
    E.HEAD_TIMEOUT: (408, '{"message":"Request Timeout"}', "RequestTimeoutException"),
    E.OVERLOAD: (503, '{"message":"Service Unavailable"}', "ServiceUnavailableException"),
    E.INTERNAL: (500, '{"message": "Internal server error"}', "InternalServerErrorException"),
}
HTTP = {
    E.MALFORMED_FUNCTION_ANSWER: (500, '{"message":"Internal Server Error"}'),
    E.FUNCTION_FAILURE: (500, '{"message":"Internal Server Error"}'),
    E.AUTHORIZER_FAILURE: (500, '{"message":"Internal Server Error"}'),
    E.BROKEN_ROUTE: (500, '{"message":"Internal Server Error"}'),
    E.INTEGRATION_FAILURE: (503, '{"message":"Service Unavailable"}'),
    E.INTEGRATION_TIMEOUT: (503, '{"message":"Service Unavailable"}'),
    E.NO_ENDPOINT: (503, '{"message":"Service Unavailable"}'),
    E.OVERLOAD: (503, '{"message":"Service Unavailable"}'),
    E.NOT_FOUND: (404, '{"message":"Not Found"}'),
    E.UNKNOWN_STAGE: (404, '{"message":"Not Found"}'),
    E.DEFAULT_ENDPOINT_DISABLED: (404, '{"message":"Not Found"}'),
    E.ACCESS_DENIED: (403, '{"message":"Forbidden"}'),
    E.UNAUTHORIZED: (401, '{"message":"Unauthorized"}'),
    E.THROTTLED: (429, '{"message":"Too Many Requests"}'),
    E.REQUEST_TOO_LARGE: (413, '{"message":"Request Entity Too Large"}'),
    E.URI_TOO_LONG: (414, '{"message":"URI Too Long"}'),
    E.BAD_REQUEST: (400, '{"message":"Bad Request"}'),
    E.HEAD_TOO_LARGE: (431, '{"message":"Request header fields too large"}'),
    E.HEAD_TIMEOUT: (408, '{"message":"Request Timeout"}'),
    E.INTERNAL: (500, '{"message":"Internal Server Error"}'),
}


@pytest.mark.parametrize("kind", REST)
@pytest.mark.parametrize("api_kind", [ApiKind.REST, None])
def test_rest_answers(kind: E, api_kind: ApiKind | None) -> None:
    status, body, error_type = REST[kind]
    response = answer(kind, api_kind)
    assert (response.status, response.body.decode()) == (status, body)
    assert headers(response) == {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": error_type,
        "x-amzn-RequestId": "rid",
        "x-amz-apigw-id": "xid",
    }


@pytest.mark.parametrize("kind", HTTP)
def test_http_answers(kind: E) -> None:
    """AWS §2.3: no error type; §2.4: one id."""
    response = answer(kind, ApiKind.HTTP)
    assert (response.status, response.body.decode()) == HTTP[kind]
    assert headers(response) == {"Content-Type": "application/json", "Apigw-Requestid": "rid"}


def test_lengths_of_a_malformed_answer() -> None:
    """AWS §15.5."""
    assert len(answer(E.MALFORMED_FUNCTION_ANSWER, ApiKind.REST).body) == 36
    assert len(answer(E.MALFORMED_FUNCTION_ANSWER, ApiKind.HTTP).body) == 35


@pytest.mark.parametrize("kind", E)
@pytest.mark.parametrize("api_kind", KINDS)
def test_every_kind_has_an_answer_everywhere(kind: E, api_kind: ApiKind | None) -> None:
    response = answer(kind, api_kind)
    assert 400 <= response.status <= 599
    assert response.status == error_status(kind, api_kind)
    text = json.loads(response.body)
    assert text.popitem()[1] == error_message(kind, api_kind)
    assert not text
    names = [name.lower() for name, _ in response.headers]
    assert len(set(names)) == len(names)
    assert (b"x-amzn-errortype" in names) is (api_kind is not ApiKind.HTTP)


def test_answers_share_nothing_that_can_be_changed() -> None:
    first = answer(E.NOT_FOUND, ApiKind.HTTP)
    first.headers.append((b"X", b"y"))
    assert (b"X", b"y") not in answer(E.NOT_FOUND, ApiKind.HTTP).headers


@given(st.sampled_from(list(E)), st.sampled_from(KINDS), st.text())
def test_a_message_of_its_own_is_json(kind: E, api_kind: ApiKind | None, message: str) -> None:
    """AWS §2.3: parameters that are missing are named."""
    text = json.loads(answer(kind, api_kind, message=message).body)
    assert list(text.values()) == [message]


def test_the_message_replaces_the_text() -> None:
    response = answer(
        E.BAD_REQUEST_PARAMETERS,
        ApiKind.REST,
        message="Missing required request parameters: [q1, h1]",
    )
    assert response.body == b'{"message":"Missing required request parameters: [q1, h1]"}'


def test_only_what_cannot_be_framed_closes() -> None:
    assert {kind for kind in E if closes(kind)} == {
        E.BAD_REQUEST,
        E.HEAD_TOO_LARGE,
        E.HEAD_TIMEOUT,
    }


def test_kinds_of_apis_are_those_known_here() -> None:
    assert {*ApiKind} == {ApiKind.REST, ApiKind.HTTP, ApiKind.WEBSOCKET}
