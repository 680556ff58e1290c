"""Secrets that are to be made for ApiKeys: which, whose, and what others are told (AWS §7.1)."""

from __future__ import annotations

from typing import Any

import pytest

from access_worlds import Raw, compiled, key, manifest, plan, secret, shop
from portico_compiler import Memo
from portico_compiler.problems import ObjectRef

CLUSTER = {"mode": "cluster", "classes": ("c",), "key_generation": True}


def class_(name: str = "c", **spec: Any) -> Raw:
    made = manifest("PorticoClass", name, {"default": name == "c", **spec})
    del made["metadata"]["namespace"]
    return made


def of(*raws: Raw, generates: bool = True, memo: Memo | None = None, **settings: Any) -> Any:
    everything = [*shop(), plan("gold", "$default"), class_(generateApiKeys=generates), *raws]
    return compiled(*everything, memo=memo, **{**CLUSTER, **settings})


def told(result: Any) -> list[str]:
    return [p.message for p in result.report.errors if p.object.name == "acme"]


@pytest.mark.parametrize("entry", ["token", None])
@pytest.mark.parametrize("in_plan", [True, False])
def test_a_missing_secret_is_wanted(entry: str | None, in_plan: bool) -> None:
    result = of(key("acme", *(("gold",) if in_plan else ()), entry=entry))
    (wanted,) = result.wanted
    assert wanted.api_key == ObjectRef("ApiKey", "default", "acme")
    assert wanted.uid
    assert (wanted.name, wanted.entry) == ("acme", entry or "value")
    (message,) = told(result)
    assert message.startswith("there is no Secret default/acme yet; PorticoClass c has keys")
    assert message.endswith("so it is being made")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"generates": False}, ""),
        ({"key_generation": False}, "set operator.apiKeyGeneration=true in the chart"),
        ({"classes": ("other",)}, "so its operator makes it"),
        ({"mode": "files", "classes": ()}, "only in a cluster"),
    ],
)
def test_who_may_not_make_it_says_so(changes: dict[str, Any], said: str) -> None:
    result = of(key("acme", "gold"), **changes)
    assert result.wanted == ()
    (message,) = told(result)
    assert message.startswith("there is no Secret default/acme")
    assert message.endswith(said) or said in message
    assert bool(said) == (message != "there is no Secret default/acme")


def test_none_is_made_in_another_namespace() -> None:
    made = key("acme", "gold")
    made["spec"]["secretRef"] |= {"namespace": "vault"}
    grant = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "g", "namespace": "vault"},
        "spec": {
            "from": [{"group": "portico.dev", "kind": "ApiKey", "namespace": "default"}],
            "to": [{"group": "", "kind": "Secret"}],
        },
    }
    result = of(made, grant)
    assert result.wanted == ()
    assert "only in the namespace of the ApiKey" in told(result)[0]


def test_the_class_of_what_a_key_opens_decides() -> None:
    """Not that of the key, which has none: an internal class may have keys made and the default
    one not."""
    inner = manifest("RestApi", "inner", {"className": "in"})
    served: dict[str, Any] = {"classes": ("c", "in")}
    opens = plan("silver", "$default", api="inner")
    more = (inner, opens, class_("in", generateApiKeys=True))
    assert of(key("acme", "silver"), *more, generates=False, **served).wanted
    assert not of(key("acme", "gold"), *more, generates=False, **served).wanted


def test_what_exists_or_is_broken_is_not_wanted() -> None:
    assert of(key("acme", "gold"), secret("acme", other="x")).wanted == ()
    broken = key("acme", "gold", enabled="perhaps")
    assert of(broken).wanted == ()


def test_it_is_wanted_until_it_is_there() -> None:
    memo = Memo()
    assert of(key("acme", "gold"), memo=memo).wanted
    assert of(key("acme", "gold"), memo=memo).wanted
    result = of(key("acme", "gold"), secret("acme", key="x" * 20), memo=memo)
    assert (result.wanted, told(result)) == ((), [])
    assert of(key("acme", "gold"), memo=memo).wanted
