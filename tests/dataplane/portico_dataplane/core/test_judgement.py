"""What policies say: Deny wins, silence is no consent (AWS §3.21, §6.1)."""

from __future__ import annotations

from typing import Any

import pytest

from portico_dataplane.core.judgement import Judgement, Policy
from portico_ir.access import Condition, PolicyDocument, Statement
from portico_ir.policydocument import parse

API = "arn:aws:execute-api:us-east-1:111122223333:abc"
GET_PETS = f"{API}/test/GET/pets"
ANN = "arn:aws:iam::111122223333:user/ann"


def policy(*statements: dict[str, Any], resource: bool = False) -> Policy:
    made = [{"Effect": "Allow", "Action": "execute-api:Invoke", **one} for one in statements]
    written = {"Version": "2012-10-17", "Statement": made}
    parsed = parse(written, "resource" if resource else "identity")
    assert parsed.document is not None, parsed.flaws
    return Policy(parsed.document)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ([{"Resource": "*"}], "allow"),
        ([{"Resource": f"{API}/*"}], "allow"),
        ([{"Resource": f"{API}/*/GET/*"}], "allow"),
        ([{"Resource": GET_PETS}], "allow"),
        ([{"Resource": f"{API}/test/GET/pet?"}], "allow"),
        ([{"Resource": GET_PETS.upper().replace("ARN:", "arn:")}], ""),
        ([{"Resource": f"{API}/test/get/pets"}], ""),
        ([{"Resource": f"{API}/test/GET/{{id}}"}], ""),
        ([{"Resource": f"{API}/prod/*"}], ""),
        ([{"Resource": [f"{API}/prod/*", f"{API}/test/*"]}], "allow"),
        ([{"Action": "EXECUTE-API:INVOKE", "Resource": "*"}], "allow"),
        ([{"Action": "execute-api:*", "Resource": "*"}], "allow"),
        ([{"Action": "*", "Resource": "*"}], "allow"),
        ([{"Action": "execute-api:InvalidateCache", "Resource": "*"}], ""),
        ([{"Action": ["s3:Get*", "execute-api:Inv*"], "Resource": "*"}], "allow"),
        ([{"Effect": "Deny", "Resource": "*"}], "deny"),
        ([{"Resource": "*"}, {"Effect": "Deny", "Resource": GET_PETS}], "deny"),
        ([{"Effect": "Deny", "Resource": GET_PETS}, {"Resource": "*"}], "deny"),
        ([{"Effect": "Deny", "Resource": f"{API}/*/POST/*"}, {"Resource": "*"}], "allow"),
        ([{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}], ""),
    ],
)
def test_statements(statements: list[dict[str, Any]], said: Judgement) -> None:
    made = policy(*statements)
    assert made.judge(GET_PETS) == said
    assert made.unconditional


def test_what_is_not_named() -> None:
    made = policy(
        {"Action": "*", "NotResource": f"{API}/*/*/admin*"} | {},
        {"Effect": "Deny", "NotResource": f"{API}/test/*"},
    )
    assert made.judge(GET_PETS) == "allow"
    assert made.judge(f"{API}/test/GET/admin/x") == ""
    assert made.judge(f"{API}/prod/GET/pets") == "deny"
    statement = Statement(allow=True, not_actions=("execute-api:Invoke",), resources=("*",))
    other = Policy(PolicyDocument(statements=(statement,)))
    assert other.judge(GET_PETS) == ""
    assert other.judge(GET_PETS, action="execute-api:ManageConnections") == "allow"


@pytest.mark.parametrize(
    ("principal", "anonymous", "ann"),
    [
        ({"Principal": "*"}, "allow", "allow"),
        ({"Principal": {"AWS": "*"}}, "allow", "allow"),
        ({"Principal": {"AWS": ANN}}, "", "allow"),
        ({"Principal": {"AWS": "111122223333"}}, "", "allow"),
        ({"Principal": {"AWS": "999999999999"}}, "", ""),
        ({"Principal": {"Service": "apigateway.amazonaws.com"}}, "", ""),
        ({"NotPrincipal": {"AWS": ANN}}, "allow", ""),
        ({"NotPrincipal": {"AWS": "*"}}, "", ""),
        ({"NotPrincipal": {"AWS": "999999999999"}}, "allow", "allow"),
    ],
)
def test_principals(principal: dict[str, Any], anonymous: Judgement, ann: Judgement) -> None:
    made = policy({"Resource": "*", **principal}, resource=True)
    assert made.judge(GET_PETS) == anonymous
    account = "arn:aws:iam::111122223333:root"
    assert made.judge(GET_PETS, principals=(ANN, account)) == ann


def test_all_conditions_must_hold() -> None:
    def facts(key: str) -> tuple[str, ...]:
        return {"aws:sourceip": ("192.0.2.1",), "aws:useragent": ("curl/8",)}.get(key, ())

    here = {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}
    curl = {"StringLike": {"aws:UserAgent": "curl/*", "aws:Referer": "*"}}
    assert policy({"Resource": "*", "Condition": here}).judge(GET_PETS, facts) == "allow"
    assert policy({"Resource": "*", "Condition": here | curl}).judge(GET_PETS, facts) == ""
    made = policy({"Resource": "*"}, {"Effect": "Deny", "Resource": "*", "Condition": here})
    assert made.judge(GET_PETS, facts) == "deny"
    assert made.judge(GET_PETS) == "allow"
    assert not made.unconditional


def test_resources_may_name_the_caller() -> None:
    made = policy({"Resource": f"{API}/*/GET/users/${{aws:username}}/*"})

    def of(name: str) -> Judgement:
        return made.judge(
            f"{API}/test/GET/users/ann/x", lambda key: (name,) * (key == "aws:username")
        )

    assert of("ann") == "allow"
    assert of("bob") == ""
    assert of("*") == ""
    assert made.judge(f"{API}/test/GET/users/ann/x") == ""
    assert not made.unconditional


@pytest.mark.parametrize(("allow", "said"), [(True, ""), (False, "deny")])
def test_what_nobody_can_read_refuses(allow: bool, said: Judgement) -> None:
    """Written by a newer compiler."""
    condition = Condition(operator="PhaseOfTheMoon", key="aws:X", values=("full",))
    statement = Statement(allow=allow, actions=("*",), resources=("*",), conditions=(condition,))
    assert Policy(PolicyDocument(statements=(statement,))).judge(GET_PETS) == said


def test_a_statement_about_nothing_says_nothing() -> None:
    for statement in (Statement(allow=True), Statement(allow=True, actions=("*",))):
        assert Policy(PolicyDocument(statements=(statement,))).judge(GET_PETS) == ""
