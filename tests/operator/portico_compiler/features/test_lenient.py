"""The lenient object reader of mock templates (AWS §3.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_compiler.features.lenient import Parameter, status_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"statusCode": 200}', 200),
        ("{statusCode: 200}", 200),
        ("{'statusCode': 201,}", 201),
        ('{\n "statusCode" : 404 ,\n "message": "x", }\n', 404),
        ('{"a": {"statusCode": 1}, "statusCode": 2}', 2),
        ('{"statusCode": 1, "statusCode": 2}', 2),
        ('{"a": [1, {b: c,},], d: true, e: null, f: -1.5e3, "statusCode": 500}', 500),
        (r'{"a": "quote \" } inside", "statusCode": 200}', 200),
        ("{\"statusCode\": $input.params('s')}", Parameter("s")),
        ('{statusCode: $input.params( "X-Status" )}', Parameter("X-Status")),
        ('{"statusCode": "200"}', None),
        ('{"statusCode": 200.0}', None),
        ('{"statusCode": 2e2}', None),
        ('{"statusCode": true}', None),
        ('{"statusCode": null}', None),
        ('{"statusCode": -1}', None),
        ('{"statusCode": 99999999999999999999999}', None),
        ('{"statusCode": OK}', None),
        ('{"status": 200}', None),
        ("{}", None),
        ("", None),
        ("200", None),
        ("[200]", None),
        ("transformed", None),
        ('{"statusCode": 200', None),
        ('{"statusCode": 200}}', None),
        ('{"statusCode" 200}', None),
        ('{"a": 1 "statusCode": 200}', None),
        ('{,"statusCode": 200}', None),
        ("{" * 5000, None),
        ("{a:" * 5000 + "1" + "}" * 5000, None),
    ],
)
def test_status(text: str, expected: int | Parameter | None) -> None:
    assert status_of(text) == expected


@given(st.text(alphabet="{}[]:,'\"\\ abst1$.()"))
def test_any_text_has_a_status_or_none(text: str) -> None:
    assert isinstance(status_of(text), int | Parameter | None)
