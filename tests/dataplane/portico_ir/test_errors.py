"""The names of errors are what users override gateway responses by (AWS §3.12)."""

from __future__ import annotations

import pytest

from portico_ir.errors import ErrorKind

OF_AWS = (
    "ACCESS_DENIED API_CONFIGURATION_ERROR AUTHORIZER_CONFIGURATION_ERROR AUTHORIZER_FAILURE "
    "BAD_REQUEST_PARAMETERS BAD_REQUEST_BODY EXPIRED_TOKEN INTEGRATION_FAILURE "
    "INTEGRATION_TIMEOUT INVALID_API_KEY INVALID_SIGNATURE MISSING_AUTHENTICATION_TOKEN "
    "QUOTA_EXCEEDED REQUEST_TOO_LARGE RESOURCE_NOT_FOUND THROTTLED UNAUTHORIZED "
    "UNSUPPORTED_MEDIA_TYPE WAF_FILTERED"
).split()


@pytest.mark.parametrize("name", OF_AWS)
def test_aws_s_types_have_their_names(name: str) -> None:
    assert ErrorKind(name) is ErrorKind[name]


def test_a_name_is_its_value() -> None:
    """It stands in access logs and in `gatewayResponses`; a Python name is no one's business."""
    assert all(kind.value == kind.name == str(kind) for kind in ErrorKind)


def test_defaults_of_aws_are_no_kinds() -> None:
    """DEFAULT_4XX and DEFAULT_5XX are overrides for many kinds, not ways to end."""
    assert not [kind for kind in ErrorKind if kind.startswith("DEFAULT_") and kind[-2:] == "XX"]


def test_ours_are_told_apart() -> None:
    ours = {kind.name for kind in ErrorKind} - set(OF_AWS)
    assert ours == {
        "MALFORMED_FUNCTION_ANSWER",
        "FUNCTION_FAILURE",
        "NO_ENDPOINT",
        "BROKEN_ROUTE",
        "UNKNOWN_HOST",
        "NO_MAPPING",
        "NO_ROUTING_RULE",
        "TLS_REQUIRED",
        "MISDIRECTED_REQUEST",
        "UNKNOWN_STAGE",
        "DEFAULT_ENDPOINT_DISABLED",
        "NOT_FOUND",
        "BAD_REQUEST",
        "HEAD_TOO_LARGE",
        "HEAD_TIMEOUT",
        "OVERLOAD",
        "URI_TOO_LONG",
        "INTERNAL",
    }
