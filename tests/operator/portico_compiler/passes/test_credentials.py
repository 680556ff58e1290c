"""Plans, keys and signers together: one data plane's units, everybody's problems."""

from __future__ import annotations

from access_worlds import compiled, key, manifest, plan, problems, secret, shop

PAIR = {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "secretAccessKey": "quiet"}


def test_units_of_all_kinds() -> None:
    user = manifest("IamUser", "u", {"accessKeys": [{"secretRef": {"name": "u"}}]})
    result = compiled(
        *shop(),
        plan("gold", "$default"),
        key("acme", "gold"),
        secret("acme", key="needatleast20characters"),
        user,
        secret("u", **PAIR),
        today="20261123",
    )
    assert problems(result) == []
    assert {"keys/0", "plans", "signers"} <= set(result.snapshot.units)


def test_what_is_wrong_with_any_is_said_once() -> None:
    user = manifest("IamUser", "u", {"accessKeys": [{"secretRef": {"name": "nowhere"}}]})
    result = compiled(*shop(), plan("gold", "beta"), key("acme", "tin"), user)
    assert sorted(problems(result)) == [
        "acme spec.secretRef RefNotFound",
        "acme spec.usagePlanRefs[0] RefNotFound",
        "gold spec.apiStages[0].stage RefNotFound",
        "u spec.accessKeys[0].secretRef RefNotFound",
    ]
