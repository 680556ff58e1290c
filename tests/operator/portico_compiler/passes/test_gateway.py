"""The class that counts, and what it says."""

from __future__ import annotations

from typing import Any

import worlds
from portico_compiler.inventory import Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import accept
from portico_compiler.passes.gateway import Ground, ground
from portico_compiler.problems import Reason


def of(*classes: tuple[str, dict[str, Any]], **settings: Any) -> Ground:
    raws = [
        {
            "apiVersion": "portico.dev/v1alpha1",
            "kind": "PorticoClass",
            "metadata": {"name": name},
            "spec": spec,
        }
        for name, spec in classes
    ]
    world, problems = worlds.of_raws(raws, **settings)
    assert not problems
    return ground(Inventory(accept(world.objects, Memo()), False), world.settings)


def test_settings_alone() -> None:
    found = of(region="eu-west-1", base_domain="Dev.Example", egress_open=True, local_paths=True)
    assert found.unit.region == "eu-west-1"
    assert found.unit.egress_open
    assert found.unit.local_paths
    assert found.base_domain == "dev.example"
    assert found.classes is None
    assert of(mode="cluster").classes == frozenset()


def test_the_default_class_overrides_what_it_names() -> None:
    spec = {
        "default": True,
        "accountId": "123456789012",
        "baseDomain": "apis.example",
        "egress": {"allow": ["10.0.0.0/8"]},
        "trustedProxies": ["10.0.0.1"],
        "addressTemplate": "{api}-{namespace}.{baseDomain}",
    }
    found = of(("other", {"accountId": "999999999999"}), ("public", spec), mode="cluster")
    assert found.unit.account_id == "123456789012"
    assert found.unit.region == "us-east-1"
    assert found.unit.egress_allow == ("10.0.0.0/8",)
    assert found.unit.trusted_proxies == ("10.0.0.1",)
    assert found.base_domain == "apis.example"
    assert found.address_template == "{api}-{namespace}.{baseDomain}"
    assert found.classes == frozenset({"other", "public"})


def test_in_files_the_base_domain_is_the_command_line_s() -> None:
    assert of(("public", {"baseDomain": "apis.example"})).base_domain == "localhost"


def test_a_class_alone_counts_and_of_several_only_a_default() -> None:
    assert of(("only", {"region": "eu-west-1"})).unit.region == "eu-west-1"
    two = of(("a", {"region": "eu-west-1"}), ("b", {"region": "eu-west-2"}))
    assert two.unit.region == "us-east-1"


def test_of_two_defaults_the_elder_counts() -> None:
    found = of(
        ("z", {"default": True, "region": "eu-west-1"}),
        ("a", {"default": True, "region": "eu-west-2"}),
    )
    assert found.unit.region == "eu-west-1"
    assert [(p.object.name, p.reason) for p in found.problems] == [("a", Reason.CONFLICTED)]


def test_a_broken_class_leaves_the_settings() -> None:
    found = of(("only", {"region": "eu-west-1", "acountId": "1"}))
    assert found.unit.region == "us-east-1"
    assert found.broken == ""


def test_an_account_throttle_closes_everything_even_in_a_broken_class() -> None:
    throttle = {"accountThrottle": {"rateLimit": 1}}
    assert "spec.accountThrottle" in of(("only", throttle)).broken
    assert "spec.accountThrottle" in of(("only", throttle | {"x": 1})).broken


def test_a_bad_template_of_the_settings_is_a_problem() -> None:
    found = of(address_template="{api}")
    assert found.address_template == "{api}.{namespace}.{baseDomain}"
    assert [p.reason for p in found.problems] == [Reason.INVALID_VALUE]
