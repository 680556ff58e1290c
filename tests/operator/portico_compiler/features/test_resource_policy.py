"""The policy of a RestApi as a stage holds it (AWS §3.21)."""

from __future__ import annotations

import json
from typing import Any

from portico_compiler.features.resource_policy import resource_policy
from portico_compiler.manifests.apis import HttpApiSpec, RestApiSpec
from portico_ir.access import PolicyDocument, Statement

ARN = "arn:aws:execute-api:eu-west-1:111122223333:abc"
POLICY: dict[str, Any] = {
    "Statement": {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "execute-api:Invoke",
        "Resource": ["execute-api:/test/GET/pets", "arn:aws:execute-api:*:*:*/x"],
    }
}


def test_resources_are_written_out() -> None:
    expected = PolicyDocument(
        statements=(
            Statement(
                allow=False,
                actions=("execute-api:Invoke",),
                resources=(f"{ARN}/test/GET/pets", "arn:aws:execute-api:*:*:*/x"),
                principals=("*",),
            ),
        )
    )
    assert resource_policy(RestApiSpec(policy=POLICY), ARN) == expected
    assert resource_policy(RestApiSpec(policy=json.dumps(POLICY)), ARN) == expected


def test_without_a_policy() -> None:
    assert resource_policy(RestApiSpec(), ARN) is None
    assert resource_policy(HttpApiSpec(), ARN) is None


def test_what_is_not_understood_lets_nobody_in() -> None:
    assert resource_policy(RestApiSpec(policy="{"), ARN) == PolicyDocument(statements=())
