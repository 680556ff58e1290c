"""One path, one ARN, however it is spelt; and none that is a pattern."""

from __future__ import annotations

import pytest

from portico_dataplane.core.arns import api_arn, masked, method_arn
from portico_ir.model import ApiKind
from sample_requests import make_request

PREFIX = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/pets/7", "/pets/7"),
        ("/", "/"),
        ("/pets/7/", "/pets/7"),
        ("/pets//7", "/pets//7"),
        ("/pets/%37", "/pets/7"),
        ("/%70ets", "/pets"),
        ("/a%2Cb%3ac", "/a,b:c"),
        ("/a%20b", "/a%20b"),
        ("/a%2fb", "/a%2Fb"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/caf\xc3\xa9", "/caf%C3%A9"),
        ("/100%25", "/100%25"),
        ("/pets/*", "/pets/%2A"),
        ("/pets/%2a", "/pets/%2A"),
        ("/pets/%3F", "/pets/%3F"),
        ("/$x/~y", "/$x/~y"),
    ],
)
def test_paths(target: str, path: str) -> None:
    """AWS §6.1: concrete; RFC 3986 §6.2.2: normalised, so that `%61dmin` is no way round."""
    request = make_request(ApiKind.REST, "GET", target)
    assert method_arn(request) == f"{PREFIX}/$default/GET{path}"


def test_http_apis_tell_paths_apart_by_their_slash() -> None:
    """AWS §4.2."""
    request = make_request(ApiKind.HTTP, "POST", "/pets/")
    assert method_arn(request) == f"{PREFIX}/$default/POST/pets/"


def test_stage_and_method_are_part_of_it() -> None:
    request = make_request(ApiKind.REST, "DELETE", "/test/pets/7", stage="test")
    assert method_arn(request) == f"{PREFIX}/test/DELETE/pets/7"
    assert api_arn(request.gateway, request.api) == PREFIX


def test_clients_read_four_digits_of_the_account() -> None:
    arn = "arn:aws:execute-api:us-east-1:123456789012:abc/test/GET/a:b"
    assert masked(arn) == "arn:aws:execute-api:us-east-1:********9012:abc/test/GET/a:b"
    assert masked("no arn") == "no arn"
