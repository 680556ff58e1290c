"""The classes, what each says, and which one takes what names none."""

from __future__ import annotations

from typing import Any

import worlds
from portico_compiler.inventory import Inventory
from portico_compiler.memo import Memo
from portico_compiler.passes.accept import accept
from portico_compiler.passes.gateway import ClassGround, Ground, ground
from portico_compiler.problems import Reason
from portico_ir.access import Bucket


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


def default(*classes: tuple[str, dict[str, Any]], **settings: Any) -> ClassGround:
    found = of(*classes, **settings).default
    assert found is not None
    return found


def test_settings_alone() -> None:
    found = default(
        region="eu-west-1", base_domain="Dev.Example", egress_open=True, local_paths=True
    )
    assert found.name == ""
    assert found.unit.region == "eu-west-1"
    assert found.unit.egress_open
    assert found.unit.local_paths
    assert found.base_domain == "dev.example"


def test_files_without_a_class_take_any_name_of_one() -> None:
    found = of()
    assert found.of(None) == found.of("whatever") == found.default


def test_each_class_overrides_what_it_names() -> None:
    spec = {
        "default": True,
        "accountId": "123456789012",
        "baseDomain": "Apis.example",
        "egress": {"allow": ["10.0.0.0/8"]},
        "trustedProxies": ["10.0.0.1"],
        "addressTemplate": "{api}-{namespace}.{baseDomain}",
    }
    found = of(("other", {"accountId": "999999999999"}), ("public", spec), mode="cluster")
    public = found.of("public")
    assert isinstance(public, ClassGround)
    assert public == found.of(None) == found.default
    assert public.unit.account_id == "123456789012"
    assert public.unit.region == "us-east-1"
    assert public.unit.egress_allow == ("10.0.0.0/8",)
    assert public.unit.trusted_proxies == ("10.0.0.1",)
    assert public.base_domain == "apis.example"
    assert public.address_template == "{api}-{namespace}.{baseDomain}"
    other = found.of("other")
    assert isinstance(other, ClassGround)
    assert other.unit.account_id == "999999999999"
    assert other.base_domain == "localhost"
    assert other.unit.egress_allow == ()


def test_in_files_the_base_domain_is_the_command_line_s() -> None:
    assert default(("public", {"baseDomain": "apis.example"})).base_domain == "localhost"


def test_an_unknown_class_is_nobody_s() -> None:
    for mode in ("files", "cluster"):
        found = of(("public", {"default": True}), ("edge", {}), mode=mode)
        said = found.of("publik")
        assert said == "there is no PorticoClass 'publik'; there is edge, public"
    assert of(mode="cluster").of("public") == "there is no PorticoClass 'public'"


def test_a_message_names_a_few_classes() -> None:
    said = of(*((f"c{n}", {}) for n in range(9))).of("x")
    assert said == "there is no PorticoClass 'x'; there is c0, c1, c2, c3, c4 and 4 more"


def test_in_a_cluster_only_a_default_takes_what_names_no_class() -> None:
    cases: list[list[tuple[str, dict[str, Any]]]] = [
        [],
        [("only", {})],
        [("a", {}), ("b", {"default": False})],
    ]
    for classes in cases:
        found = of(*classes, mode="cluster")
        assert found.default is None
        said = found.of(None)
        assert isinstance(said, str)
        assert said.startswith("there is no default PorticoClass")


def test_in_files_a_class_alone_counts_and_of_several_only_a_default() -> None:
    assert default(("only", {"region": "eu-west-1"})).unit.region == "eu-west-1"
    two = default(("a", {"region": "eu-west-1"}), ("b", {"region": "eu-west-2"}))
    assert (two.name, two.unit.region) == ("", "us-east-1")


def test_of_two_defaults_the_elder_counts() -> None:
    for mode in ("files", "cluster"):
        found = of(("z", {"default": True}), ("a", {"default": True}), mode=mode)
        assert found.default is not None
        assert found.default.name == "z"
        assert [(p.object.name, p.field, p.reason) for p in found.problems] == [
            ("a", "spec.default", Reason.CONFLICTED)
        ]
        assert isinstance(found.of("a"), ClassGround), "it serves what names it"


def test_a_data_plane_gets_something_even_without_its_class() -> None:
    found = of(("a", {"region": "eu-west-1"}), mode="cluster", region="eu-west-9")
    assert found.for_data_plane("a").unit.region == "eu-west-1"
    assert found.for_data_plane("gone").unit.region == "eu-west-9"
    assert found.for_data_plane("").unit.region == "eu-west-9"
    assert of(("a", {"default": True, "region": "x"})).for_data_plane("").unit.region == "x"


def test_a_broken_class_leaves_the_settings() -> None:
    found = default(("only", {"region": "eu-west-1", "acountId": "1"}))
    assert found.unit.region == "us-east-1"
    assert found.broken == ""


def test_an_account_throttle_is_its_own_class_s() -> None:
    found = of(("a", {"accountThrottle": {"rateLimit": 1.5}}), ("b", {"default": True}))
    throttled = found.of("a")
    assert isinstance(throttled, ClassGround)
    assert throttled.unit.account_throttle == Bucket(rate=1.5, burst=2)
    assert found.default is not None
    assert found.default.unit.account_throttle is None


def test_a_broken_class_with_an_account_throttle_is_closed() -> None:
    found = of(("a", {"accountThrottle": {"rateLimit": 1}, "x": 1}), ("b", {"default": True}))
    closed = found.of("a")
    assert isinstance(closed, ClassGround)
    assert "spec.accountThrottle" in closed.broken
    assert found.default is not None
    assert found.default.broken == ""


def test_a_bad_template_of_the_settings_is_a_problem() -> None:
    found = of(address_template="{api}")
    assert found.settings.address_template == "{api}.{namespace}.{baseDomain}"
    assert [p.reason for p in found.problems] == [Reason.INVALID_VALUE]
