"""What may be taken, and what each ApiDeployment that is not taken waits for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import worlds
from deployments import SHOP, Raw, captured, compiled, deployment, revision, shop, stage, target
from manifests import manifest, route
from portico_compiler import Compiled, Memo, Severity, compile  # noqa: A004
from portico_compiler.passes.captures import Candidate
from portico_compiler.revisions import content, packing
from portico_compiler.revisions.content import Captured

CLUSTER: dict[str, Any] = {"mode": "cluster"}
CLASS = {
    "apiVersion": "portico.dev/v1alpha1",
    "kind": "PorticoClass",
    "metadata": {"name": "portico"},
    "spec": {"default": True},
}


def candidate(raws: list[Raw], **settings: Any) -> Candidate:
    (found,) = compiled(raws, **settings).deployments.candidates
    return found


def says(raws: list[Raw]) -> str:
    status, reason, message = worlds.condition(
        compiled([CLASS, *raws], **CLUSTER), "ApiDeployment", "v1", "Accepted"
    )
    assert (status, reason) == ("False", "Capturing")
    return message


def test_a_state_that_is_well_may_be_taken() -> None:
    raws = [*shop(), deployment("v1")]
    found = candidate(raws)
    assert found.captured == captured(shop())
    assert not found.at_once
    assert found.api == SHOP
    uid = found.origin.api.uid
    assert found.revision == packing.own_name(found.deployment, found.origin.deployment.uid, uid)
    assert "nothing has changed for 2 s" in says(raws)


REFUSED: list[tuple[list[Raw], str]] = [
    ([manifest("RestApi", "shop")], "RestApi default/shop has no Routes"),
    (shop(route("a", "GET a")), "not Accepted: Route default/a"),
    (shop(route("a", "GET /a", typo=1)), "not Accepted: Route default/a"),
    (shop(route("a", "GET /a"), route("b", "GET /a")), "not Accepted: Route default/b"),
    (shop(route("a", "GET /{x}", integration={"url": "http://h/{y}"})), "not Accepted: Route"),
    (shop(typo=1), "not Accepted: RestApi default/shop"),
    (
        shop(*(route(f"r{n}", f"GET /r{n}", typo=1) for n in range(7))),
        "default/r3, Route default/r4 and 2 more",
    ),
]


@pytest.mark.parametrize(("raws", "words"), REFUSED)
def test_what_it_waits_for(raws: list[Raw], words: str) -> None:
    raws = [*raws, deployment("v1")]
    assert candidate(raws).captured is None
    assert words in says(raws)
    # The command line says the same of files.
    why = compiled(raws).deployments.capture(SHOP)
    assert isinstance(why, str)
    assert words in why


def test_stages_and_missing_services_are_not_its_members_faults() -> None:
    variable: dict[str, Any] = {"integration": {"url": "http://${stageVariables.host}/"}}
    away: dict[str, Any] = {"integration": {"service": {"name": "gone", "port": 80}}}
    raws = shop(route("a", "GET /a", **variable), route("b", "GET /b", **away))
    raws += [stage("test"), stage("slow", canarySettings={"percentTraffic": 1}), deployment("v1")]
    result = compiled(raws)
    assert worlds.condition(result, "Route", "a", "Accepted")[0] != "True"
    (found,) = result.deployments.candidates
    assert found.captured is not None
    # A fault of its own beside the variable is one.
    both: dict[str, Any] = {"integration": {"url": "http://${stageVariables.host}/{nowhere}"}}
    assert candidate([*shop(route("a", "GET /a", **both)), deployment("v1")]).captured is None


def test_an_expected_digest_is_waited_for_and_then_enough() -> None:
    wanted = shop(route("a", "GET /a"), route("b", "GET /b", apiKeyRequired=True))
    state = content.capture  # by hand: it need not be Accepted
    world, _ = worlds.of_raws(wanted)
    from portico_compiler.passes.accept import decode

    documents = [decode(o) for o in world.objects]
    digest = state(documents[0], (), documents[1:]).digest
    asked = deployment("v1", expectedDigest=f"sha256:{digest}")
    found = candidate([*wanted, asked])
    assert found.at_once
    assert found.captured is not None
    assert found.captured.digest == digest
    missing = [*wanted[:-1], asked]
    assert candidate(missing).captured is None
    now = captured(wanted[:-1]).digest
    assert (
        says(missing) == f"waits for sha256:{digest}; the current state has the digest sha256:{now}"
    )
    # What cannot be read is no state at all.
    assert candidate([*wanted, route("c", "GET c"), asked]).captured is None


def test_what_was_taken_once_is_taken_again_only_as_it_was() -> None:
    digest = captured(shop()).digest

    def recorded(raws: list[Raw]) -> Compiled:
        world, _ = worlds.of_raws(raws, **CLUSTER)
        objects = [
            msgspec.structs.replace(o, recorded=digest if o.ref.name == "v1" else "")
            for o in world.objects
        ]
        return compile(msgspec.structs.replace(world, objects=tuple(objects)))

    (found,) = recorded([CLASS, *shop(), deployment("v1")]).deployments.candidates
    assert found.at_once
    assert found.captured is not None
    other = recorded([CLASS, *shop(route("a", "GET /other")), deployment("v1")])
    (found,) = other.deployments.candidates
    assert found.captured is None
    message = worlds.condition(other, "ApiDeployment", "v1", "Accepted")[2]
    assert f"its revision is gone, which held sha256:{digest}" in message
    assert "make another ApiDeployment" in message


def test_what_is_restored_is_copied_at_once() -> None:
    held = shop(route("a", "GET /a", **target(1)))
    raws = [*shop(), *revision(held, "kept"), deployment("v1", "kept")]
    found = candidate(raws)
    assert found.at_once
    assert found.captured == captured(held)
    assert worlds.condition(compiled(raws), "ApiDeployment", "v1", "Accepted")[0] == "True"
    # And when it has its own, there is nothing left to do.
    assert found.captured is not None
    own = packing.pack(found.captured, found.revision, "", found.origin, None)
    result = compiled([*raws, *own])
    assert result.deployments.candidates == ()
    taken = result.deployments.taken[found.deployment]
    assert (taken.revision, taken.own) == (found.revision, True)


def test_a_state_that_is_too_large_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "MAX_ROUTES", 1)
    raws = [*shop(route("a", "GET /a"), route("b", "GET /b")), deployment("v1")]
    assert candidate(raws).captured is None
    assert "cannot be taken: 2 Routes are more than the 1" in says(raws)
    assert "more than the 1" in str(compiled(raws).deployments.capture(SHOP))


def test_in_files_it_is_no_error_by_itself() -> None:
    result = compiled([*shop(), deployment("v1")])
    assert [(p.severity, p.reason) for p in result.report.problems] == [
        (Severity.WARNING, "Capturing")
    ]
    assert "portico deploy v1" in result.report.problems[0].message


def test_of_another_class_it_is_somebody_else_s() -> None:
    other = {**CLASS, "metadata": {"name": "other"}, "spec": {}}
    raws = [CLASS, other, *shop(className="other"), deployment("v1")]
    result = compiled(raws, **CLUSTER, classes=("portico",))
    assert result.deployments.candidates == ()
    assert len(compiled(raws, **CLUSTER, classes=("other",)).deployments.candidates) == 1


def test_an_unchanged_state_is_captured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from portico_compiler.passes import captures

    calls: list[Captured] = []

    def counting(*members: Any) -> Captured:
        calls.append(content.capture(*members))
        return calls[-1]

    monkeypatch.setattr(captures, "capture", counting)
    raws, memo = [*shop(), deployment("v1"), deployment("v2")], Memo()
    for _ in range(3):
        compiled(raws, memo)
    assert len(calls) == 1
    raws[1]["spec"]["operationName"] = "edited"
    compiled(raws, memo)
    assert len(calls) == 2


def test_an_api_that_is_not_served_has_no_state() -> None:
    result = compiled([manifest("HttpApi", "shop"), *shop()])
    assert result.deployments.capture(SHOP) == "RestApi default/shop is not served"
