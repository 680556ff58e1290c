"""What authorizers return: an answer, or a fault that lets nobody through (AWS §4.10, §6.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_dataplane.core.messages import Request
from portico_dataplane.policies.authorizer_answer import LONGEST, Answer, Fault, read
from portico_ir.model import ApiKind
from sample_requests import make_request

REST, HTTP = ApiKind.REST, ApiKind.HTTP
ARN = "arn:aws:execute-api:us-east-1:000000000000:abcdef1234/test/GET/pets"


def policy(effect: str = "Allow", resource: object = "*", **more: Any) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def answered(value: object, kind: ApiKind = REST, *, simple: bool = False) -> Answer:
    found = read(json.dumps(value).encode(), kind, simple=simple)
    assert isinstance(found, Answer), found
    return found


def test_a_policy() -> None:
    found = answered({"principalId": "user", "policyDocument": policy()})
    assert found.judge(ARN, make_request()) == "allow"
    assert found.principal == "user"
    assert found.usage_key == ""
    assert found.members == {"principalId": "user"}
    assert found.event("rest", 0) == {"principalId": "user", "integrationLatency": 0}
    assert found.event("rest", 7) == {"principalId": "user", "integrationLatency": 7}


def test_the_policy_is_held_against_each_arn() -> None:
    found = answered({"principalId": "user", "policyDocument": policy(resource=[ARN])})
    assert found.judge(ARN, make_request()) == "allow"
    assert found.judge(f"{ARN}/7", make_request()) == ""
    denied = answered({"principalId": "user", "policyDocument": policy("Deny", ARN)})
    assert denied.judge(ARN, make_request()) == "deny"


def test_conditions_are_held_against_each_request() -> None:
    here = {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}
    found = answered({"principalId": "user", "policyDocument": policy(Condition=here)})

    def at(address: str) -> Request:
        request = make_request()
        request.source_ip = address
        return request

    assert found.judge(ARN, at("203.0.113.9")) == "allow"
    assert found.judge(ARN, at("192.0.2.1")) == ""
    assert found.judge(ARN, at("203.0.113.9")) == "allow"
    assert not found.judged


def test_a_judgement_is_remembered_by_method_and_path() -> None:
    found = answered({"principalId": "user", "policyDocument": policy(resource=f"{ARN}/1*")})
    gateway = make_request().gateway

    def at(path: str, method: str = "GET") -> Request:
        request = make_request(method=method, target=path)
        request.gateway = gateway
        return request

    assert found.knows(at("/pets/1")) is None
    assert found.judge(f"{ARN}/1", at("/pets/1")) == "allow"
    assert found.knows(at("/pets/1")) == "allow"
    assert found.knows(at("/pets/2")) is None
    assert found.knows(at("/pets/1", "POST")) is None
    assert found.judge(f"{ARN}/2", at("/pets/2")) == ""
    assert found.knows(at("/pets/2")) == ""
    # Another account or region makes other ARNs.
    assert found.knows(make_request(target="/pets/1")) is None
    assert found.judge(f"{ARN}/1", make_request(target="/pets/1")) == "allow"
    assert found.knows(at("/pets/2")) is None


def test_what_is_remembered_of_judgements_is_bounded() -> None:
    found = answered({"principalId": "user", "policyDocument": policy(resource=f"{ARN}/1*")})
    gateway = make_request().gateway
    for number in range(1000):
        request = make_request(target=f"/pets/{number}")
        request.gateway = gateway
        expected = "allow" if str(number).startswith("1") else ""
        assert found.judge(f"{ARN}/{number}", request) == expected
        assert found.knows(request) == expected
    assert len(found.judged) <= 256


def test_context_of_rest_is_text() -> None:
    """AWS §6.1."""
    context = {"s": "x", "n": 1, "f": 1.5, "t": True, "no": None, "principalId": "forged"}
    found = answered(
        {
            "principalId": "user",
            "policyDocument": policy(),
            "context": context,
            "usageIdentifierKey": "k",
        }
    )
    shown = {"s": "x", "n": "1", "f": "1.5", "t": "true", "principalId": "user"}
    assert found.members == shown
    assert found.event("rest", 0) == {**shown, "integrationLatency": 0}
    assert found.usage_key == "k"


def test_context_of_http_keeps_its_types() -> None:
    """AWS §4.10."""
    context = {"s": "x", "n": 1, "list": [1, {"a": None}], "map": {"k": "v"}}
    found = answered({"isAuthorized": True, "context": context}, HTTP, simple=True)
    assert found.members == context
    assert found.event("2.0", 5) == {"lambda": context}
    assert found.event("1.0", 5) == {**context, "integrationLatency": 5}
    assert found.judge(ARN, make_request()) == "allow"
    bare = answered({"isAuthorized": False}, HTTP, simple=True)
    assert bare.judge(ARN, make_request()) == ""
    assert bare.event("2.0", 0) == {"lambda": {}}


@pytest.mark.parametrize("number", [7, 1.5])
def test_a_principal_may_be_a_number(number: float) -> None:
    assert answered({"principalId": number, "policyDocument": policy()}).principal == str(number)


GOOD = {"principalId": "user", "policyDocument": policy()}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "not an object"),
        ("allow", "not an object"),
        ([GOOD], "not an object"),
        ({}, "principalId"),
        ({"policyDocument": policy()}, "principalId"),
        (GOOD | {"principalId": ""}, "principalId"),
        (GOOD | {"principalId": None}, "principalId"),
        (GOOD | {"principalId": True}, "principalId"),
        (GOOD | {"principalId": ["user"]}, "principalId"),
        ({"principalId": "user"}, "policyDocument"),
        (GOOD | {"policyDocument": json.dumps(policy())}, "policyDocument"),
        (GOOD | {"policyDocument": []}, "policyDocument"),
        (GOOD | {"policyDocument": {"Statement": []}}, "policyDocument.Statement"),
        (GOOD | {"policyDocument": policy("allow")}, "policyDocument.Statement.0.Effect"),
        (GOOD | {"policyDocument": policy(resource=None)}, "policyDocument.Statement.0.Resource"),
        (GOOD | {"policyDocument": policy(resource="arn:" + "x" * 509)}, "longer than 512"),
        (GOOD | {"policyDocument": policy(Principal="*")}, "policyDocument.Statement.0.Principal"),
        (GOOD | {"context": []}, "context"),
        (GOOD | {"context": {"k": ["v"]}}, "context.k"),
        (GOOD | {"context": {"k": {"v": 1}}}, "context.k"),
        (GOOD | {"usageIdentifierKey": 7}, "usageIdentifierKey"),
        ({"isAuthorized": True}, "principalId"),
    ],
)
def test_faults_of_policies(value: object, said: str) -> None:
    found = read(json.dumps(value).encode(), REST, simple=False)
    assert isinstance(found, Fault)
    assert said in found.cause


@pytest.mark.parametrize(
    "value",
    [{}, {"isAuthorized": "true"}, {"isAuthorized": 1}, {"isAuthorized": None}, GOOD, True],
)
def test_faults_of_simple_answers(value: object) -> None:
    """AWS §4.10: a real boolean."""
    assert isinstance(read(json.dumps(value).encode(), HTTP, simple=True), Fault)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'"\\ud800"', b"NaN", b"[" * 100_000])
def test_what_is_no_json(raw: bytes) -> None:
    assert isinstance(read(raw, REST, simple=False), Fault)


def test_an_answer_of_a_megabyte() -> None:
    value = GOOD | {"context": {"k": "x" * 1_000_000}}
    found = read(json.dumps(value).encode(), REST, simple=False)
    assert isinstance(found, Fault)
    assert str(LONGEST) in found.cause


@given(st.binary(max_size=60), st.booleans())
def test_nothing_raises(raw: bytes, simple: bool) -> None:
    assert isinstance(read(raw, HTTP, simple=simple), Answer | Fault)
