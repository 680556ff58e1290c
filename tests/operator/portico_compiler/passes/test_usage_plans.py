"""UsagePlans: which stages they open, and what keeps them from it (AWS §7.2)."""

from __future__ import annotations

from access_worlds import compiled, key, manifest, plan, plans, problems, secret, shop

VALUE = "needatleast20characters"


def test_a_plan_opens_the_stages_it_names() -> None:
    prod = manifest("Stage", "prod", {"apiRef": {"name": "shop"}, "stageName": "prod"})
    raws = [*shop(defaultStage="Always"), prod, plan("gold", "prod", "$default")]
    (gold,) = plans(compiled(*raws)).values()
    assert [stage.stage for stage in gold.stages] == ["$default", "prod"]
    assert len({stage.api for stage in gold.stages}) == 1
    assert len(gold.id) == 10


def test_what_leads_nowhere_costs_the_plan_nothing_else() -> None:
    result = compiled(*shop(), plan("gold", "$default", "beta", "$default"))
    (gold,) = plans(result).values()
    assert [stage.stage for stage in gold.stages] == ["$default"]
    assert problems(result) == [
        "gold spec.apiStages[1].stage RefNotFound",
        "gold spec.apiStages[2] InvalidCombination",
    ]


def test_an_api_of_a_stranger_needs_a_grant() -> None:
    foreign = plan("gold", namespace="stranger")
    foreign["spec"]["apiStages"] = [
        {"apiRef": {"name": "shop", "namespace": "default"}, "stage": "$default"}
    ]
    assert problems(compiled(*shop(), foreign)) == ["gold spec.apiStages[0].apiRef RefNotPermitted"]
    assert plans(compiled(*shop(), foreign)) == {}
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g"},
        "spec": {
            "from": [{"group": "portico.dev", "kind": "UsagePlan", "namespace": "stranger"}],
            "to": [{"group": "portico.dev", "kind": "RestApi"}],
        },
    }
    assert list(plans(compiled(*shop(), foreign, grant))) == ["stranger/gold"]


def test_a_plan_that_is_not_valid_opens_nothing() -> None:
    """Nobody gets through without the limit that was meant."""
    bad = plan("gold", "$default", quota={"limit": 1, "period": "DAY", "offset": 3})
    result = compiled(*shop(), bad, key("acme", "gold"), secret("acme", key=VALUE))
    assert plans(result) == {}
    assert problems(result) == [
        "gold spec.quota.offset InvalidValue",
        "acme spec.usagePlanRefs[0] RefNotAccepted",
    ]


def test_a_plan_for_nothing_is_fine() -> None:
    result = compiled(*shop(), plan("gold"))
    assert problems(result) == []
    assert plans(result) == {}
