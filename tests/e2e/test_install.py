"""`helm install`, and what stands in the cluster when it returns."""

from __future__ import annotations

from bed import eventually
from installation import NAMESPACE, Installation
from pod_security import violations

DEPLOYMENTS = ("portico-operator", "portico-dataplane")


def test_every_pod_is_ready_when_helm_returns(installation: Installation) -> None:
    for name in DEPLOYMENTS:
        pods = installation.pods(f"deployment/{name}")
        assert len(pods) == 2
        for pod in pods:
            (container,) = pod["status"]["containerStatuses"]
            assert container["ready"], pod["metadata"]["name"]
            assert container["restartCount"] == 0, pod["metadata"]["name"]
            # The namespace enforces it; what is really running has no privilege either.
            assert not violations(pod["spec"])


def test_one_operator_holds_the_lease(installation: Installation) -> None:
    lease = installation.get("lease/portico-operator", NAMESPACE)
    names = [pod["metadata"]["name"] for pod in installation.pods("deployment/portico-operator")]
    holder = lease["spec"]["holderIdentity"]
    assert any(holder.startswith(name) for name in names), holder


def test_the_default_class_is_there_and_accepted(installation: Installation) -> None:
    ready = ("--for=condition=Accepted", "--timeout=60s")
    installation.bed.kubectl("wait", "porticoclass/portico", *ready)
    spec = installation.get("porticoclass/portico")["spec"]
    assert (spec["default"], spec["baseDomain"]) == (True, "apis.test")


def test_helm_test_passes(installation: Installation) -> None:
    assert "Phase:          Succeeded" in installation.test()


def test_operators_may_do_what_they_try(installation: Installation) -> None:
    """RBAC is real here: whatever the API server refused stands in the log."""
    lines = eventually(lambda: installation.logs("deployment/portico-operator"), "logs")
    refused = [line for line in lines if "forbidden" in str(line).lower()]
    assert not refused


def test_an_account_may_do_what_the_chart_says_and_no_more(installation: Installation) -> None:
    kubectl = installation.bed.kubectl
    listed = {}
    for account in ("portico-operator", "portico-dataplane", "default"):
        user = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
        groups = ("--as-group=system:serviceaccounts", "--as-group=system:authenticated")
        said = kubectl("auth", "can-i", "--list", user, *groups, f"--namespace={NAMESPACE}").stdout
        listed[account] = {" ".join(line.split()) for line in said.splitlines()}
    installation.keep("can-i.txt", "\n".join(sorted(listed["portico-operator"])))
    assert listed["portico-dataplane"] == listed["default"]
    more = listed["portico-operator"] - listed["default"]
    assert more
    assert not [line for line in more if "*" in line.split()[0] or "[*]" in line]
