"""IamUsers: derived keys for a few days, policies, whose APIs are their own (AWS §6.3)."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import worlds
from access_worlds import Raw, compiled, manifest, problems, secret, shop
from portico_compiler import Memo
from portico_compiler.passes.signers import days_around, derived
from portico_ir.access import Signer
from portico_ir.model import SignersUnit

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ALLOW = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}
POLICY = {"Version": "2012-10-17", "Statement": [ALLOW]}
TODAY = "20261123"


def user(name: str = "u", **spec: Any) -> Raw:
    return manifest("IamUser", name, {"accessKeys": [{"secretRef": {"name": name}}]} | spec)


def pair(name: str = "u", **entries: str) -> Raw:
    return secret(name, **({"accessKeyId": KEY_ID, "secretAccessKey": SECRET} | entries))


def signers(*raws: Raw, today: str = TODAY, memo: Memo | None = None) -> dict[str, Signer]:
    found = worlds.units(compiled(*shop(), *raws, today=today, memo=memo)).get("signers")
    return found.signers if isinstance(found, SignersUnit) else {}


def test_yesterday_today_and_a_week() -> None:
    days = days_around("20261231")
    assert days == [
        "20261230", "20261231", "20270101", "20270102", "20270103", "20270104", "20270105",
        "20270106", "20270107",
    ]  # fmt: skip
    assert days_around("") == []


def test_keys_are_those_that_botocore_signs_with() -> None:
    signer = SigV4Auth(Credentials(KEY_ID, SECRET), "execute-api", "eu-west-3")
    request = AWSRequest("GET", "https://h/")
    request.context["timestamp"] = f"{TODAY}T101112Z"
    text = "anything"
    import hashlib
    import hmac

    key = derived(SECRET, TODAY, "eu-west-3")
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    assert signer.signature(text, request) == expected


def test_no_secret_travels() -> None:
    found = signers(user(policy=POLICY), pair())
    (signer,) = found.values()
    assert list(found) == [KEY_ID]
    assert len(signer.keys) == 9
    assert "[redacted]" in repr(signer)
    assert signer.keys[TODAY].reveal() == derived(SECRET, TODAY, "us-east-1").hex()
    assert signer.user == "arn:aws:iam::000000000000:user/default/u"
    assert signer.user_id.startswith("AIDA")
    assert signer.policy is not None


def test_the_class_says_account_and_region() -> None:
    klass = manifest("PorticoClass", "c", {"accountId": "123456789012", "region": "eu-west-3"})
    del klass["metadata"]["namespace"]
    (signer,) = signers(klass, user(), pair()).values()
    assert signer.user.startswith("arn:aws:iam::123456789012:")
    assert signer.keys[TODAY].reveal() == derived(SECRET, TODAY, "eu-west-3").hex()


def test_a_new_day_is_new_keys() -> None:
    memo = Memo()
    first = signers(user(), pair(), memo=memo)[KEY_ID]
    second = signers(user(), pair(), memo=memo, today="20261124")[KEY_ID]
    assert set(second.keys) - set(first.keys) == {"20261201"}
    assert signers(user(), pair(), memo=memo, today="")[KEY_ID].keys == {}


@pytest.mark.parametrize(
    ("raws", "expected"),
    [
        ([user()], "spec.accessKeys[0].secretRef RefNotFound"),
        ([user(), secret("u", accessKeyId=KEY_ID)], "spec.accessKeys[0].secretRef InvalidValue"),
        ([user(), pair(accessKeyId="short")], "spec.accessKeys[0].secretRef InvalidValue"),
        ([user(), pair(secretAccessKey="")], "spec.accessKeys[0].secretRef InvalidValue"),
        ([user(), pair(secretAccessKey="x\n")], "spec.accessKeys[0].secretRef InvalidValue"),
        ([user(policy={"Statement": [{"Effect": "Maybe"}]}), pair()], "spec.policy"),
        ([user(policy="not json"), pair()], "spec.policy"),
    ],
    ids=["no secret", "half", "id", "empty", "newline", "effect", "no json"],
)
def test_what_is_broken_may_not_sign(raws: list[Raw], expected: str) -> None:
    result = compiled(*shop(), *raws, today=TODAY)
    assert "signers" not in result.snapshot.units
    assert all(expected in problem for problem in problems(result))
    assert problems(result)
    assert not any(SECRET in problem.message for problem in result.report.errors)


def test_of_two_with_one_access_key_the_elder_counts() -> None:
    result = compiled(*shop(), user("a"), user("b"), pair("a"), pair("b"), today=TODAY)
    assert problems(result) == ["b spec.accessKeys[0].secretRef Conflicted"]


def test_apis_of_others_are_their_own_only_by_grant() -> None:
    """AWS §3.21: across accounts both policies must allow; a namespace is an account here."""
    foreign = user()
    foreign["metadata"]["namespace"] = "stranger"
    values = pair()
    values["metadata"]["namespace"] = "stranger"
    (signer,) = signers(foreign, values).values()
    assert (signer.namespace, signer.apis) == ("stranger", ())
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g"},
        "spec": {
            "from": [{"group": "portico.dev", "kind": "IamUser", "namespace": "stranger"}],
            "to": [{"group": "portico.dev", "kind": "RestApi"}],
        },
    }
    (signer,) = signers(foreign, values, grant).values()
    assert len(signer.apis) == 1
