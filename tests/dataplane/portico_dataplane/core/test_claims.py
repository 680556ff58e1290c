"""Claims judged and written down as AWS does (AWS §4.9, §6.2, §18)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico_dataplane.core import claims

NOW_MS = 1_700_000_000_500
NOW = 1_700_000_000


@pytest.mark.parametrize("expires", [NOW + 1, NOW + 0.6, 9e15, 10**15, 1e300])
def test_a_token_lives_until_its_expiry(expires: float) -> None:
    assert claims.fault_of_expiry({"exp": expires}, NOW_MS) == ""


@pytest.mark.parametrize(
    "expires",
    [NOW, NOW + 0.5, NOW - 30, 0, -1, True, None, "", "1800000000", [NOW + 9], {}, 10**400],
)
def test_no_tolerance_for_the_expired(expires: Any) -> None:
    """AWS documents none; what is no time has expired."""
    assert claims.fault_of_expiry({"exp": expires}, NOW_MS) == "the token has expired"


def test_a_token_must_expire() -> None:
    assert claims.fault_of_expiry({"iat": NOW}, NOW_MS) == "the token has no expiry"


@pytest.mark.parametrize("said", [{}, {"nbf": NOW, "iat": NOW}, {"iat": NOW + 0.5}, {"nbf": 0}])
def test_times_that_lie_behind(said: dict[str, Any]) -> None:
    assert claims.fault_of_times(said, NOW_MS) == ""


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"nbf": NOW + 1}, "the token is not valid yet"),
        ({"iat": NOW + 1}, "the token was issued in the future"),
        ({"iat": NOW + 0.6}, "the token was issued in the future"),
        ({"iat": "soon"}, "the token was issued in the future"),
        ({"nbf": None}, "the token is not valid yet"),
        ({"nbf": 10**400}, "the token is not valid yet"),
        ({"nbf": False}, "the token is not valid yet"),
    ],
)
def test_times_that_lie_ahead(said: dict[str, Any], fault: str) -> None:
    assert claims.fault_of_times(said, NOW_MS) == fault


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"aud": "a"}, ("a",)),
        ({"aud": ["a", 5, None, "b"]}, ("a", "b")),
        ({"aud": "a", "client_id": "c"}, ("a",)),
        ({"client_id": "c"}, ("c",)),
        ({"aud": "", "client_id": "c"}, ("",)),
        ({"aud": None, "client_id": "c"}, ()),
        ({"aud": [], "client_id": "c"}, ()),
        ({"aud": {"a": 1}, "client_id": "c"}, ()),
        ({}, ()),
    ],
)
def test_client_id_stands_in_for_an_absent_audience(
    said: dict[str, Any], found: tuple[str, ...]
) -> None:
    assert claims.audiences(said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"scope": "openid write"}, ("openid", "write")),
        ({"scope": "a  b "}, ("a", "b")),
        ({"scp": ["a", "b", 7]}, ("a", "b")),
        ({"scp": "a b"}, ("a", "b")),
        ({"scope": ["a"]}, ("a",)),
        ({"scp": ["a"], "scope": "b a"}, ("a", "b")),
        ({"scope": 7, "scp": None}, ()),
        ({"scopes": "a"}, ()),
    ],
)
def test_scopes_have_two_names_and_two_forms(said: dict[str, Any], found: tuple[str, ...]) -> None:
    assert claims.scopes(said) == found


MANY: dict[str, Any] = {
    "sub": "u1",
    "email_verified": True,
    "off": False,
    "level": 7,
    "exp": 1_680_633_579,
    "iat": 1_680_629_979.5,
    "nbf": "text",
    "auth_time": 1_680_629_979,
    "cognito:groups": ["admin", "poweruser"],
    "one": ["team_manager"],
    "none": [],
    "mixed": ["a", 1, True, None, ["b", "c"], {"d": 1}],
    "address": {"city": "Köln", "zip": [1]},
    "gone": None,
}


def test_http_apis_write_lists_with_brackets() -> None:
    assert claims.http_texts(MANY) == {
        "sub": "u1",
        "email_verified": "true",
        "off": "false",
        "level": "7",
        "exp": "1680633579",
        "iat": "1680629979.5",
        "nbf": "text",
        "auth_time": "1680629979",
        "cognito:groups": "[admin poweruser]",
        "one": "[team_manager]",
        "none": "[]",
        "mixed": '[a 1 true null [b c] {"d":1}]',
        "address": '{"city":"Köln","zip":[1]}',
    }


def test_rest_apis_write_lists_with_commas_and_dates_as_java() -> None:
    """Recorded by users: `exp: 'Tue Apr 04 18:39:39 UTC 2023'`, `'cognito:groups': 'a,b'`."""
    found = claims.rest_texts(MANY)
    assert found["exp"] == "Tue Apr 04 18:39:39 UTC 2023"
    assert found["iat"] == "Tue Apr 04 17:39:39 UTC 2023"
    assert found["nbf"] == "text"
    assert found["auth_time"] == "1680629979"
    assert found["cognito:groups"] == "admin,poweruser"
    assert found["one"] == "team_manager"
    assert found["email_verified"] == "true"
    assert found["address"] == '{"city":"Köln","zip":[1]}'
    assert "gone" not in found


@pytest.mark.parametrize("value", [1e300, -1e300, 10**30, True])
def test_what_is_no_date_stays_a_number(value: Any) -> None:
    assert isinstance(claims.rest_texts({"exp": value})["exp"], str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["exp", "nbf", "iat", "aud", "client_id", "scope", "scp", "sub", "x"])


@settings(max_examples=40)
@given(st.dictionaries(NAMES, JSON, max_size=5))
def test_whatever_an_issuer_signs(said: dict[str, Any]) -> None:
    for judge in (claims.fault_of_expiry, claims.fault_of_times):
        assert isinstance(judge(said, NOW_MS), str)
    assert all(isinstance(one, str) for one in (*claims.audiences(said), *claims.scopes(said)))
    for texts in (claims.http_texts, claims.rest_texts):
        assert all(isinstance(one, str) for one in texts(said).values())
