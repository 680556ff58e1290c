"""TokenReviewer: the API server's answer, and that there was none."""

from __future__ import annotations

import pytest

from fake_kube import FakeKube, error
from portico_ir.secrets import Redacted
from portico_operator.cluster.reviewer import TokenReviewer
from portico_operator.delivery.access import Review, Unreachable

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
EXTRA = {
    "authentication.kubernetes.io/pod-uid": ["u"],
    "authentication.kubernetes.io/pod-name": ["p"],
}


async def test_a_token_that_counts() -> None:
    kube = FakeKube()
    user = {"username": "system:serviceaccount:n:a", "extra": EXTRA}
    kube.answers["POST", PATH] = {
        "status": {"authenticated": True, "user": user, "audiences": ["portico-operator"]}
    }
    review = await TokenReviewer(kube).review(Redacted("t"), "portico-operator")
    assert review == Review(True, "system:serviceaccount:n:a", ("portico-operator",), "u", "p", "")
    assert kube.asked[0][3]["spec"] == {"token": "t", "audiences": ["portico-operator"]}


async def test_a_token_that_does_not() -> None:
    kube = FakeKube()
    kube.answers["POST", PATH] = {"status": {"error": "expired"}}
    review = await TokenReviewer(kube).review(Redacted("t"), "a")
    assert review == Review(False, error="expired")


async def test_nobody_answers() -> None:
    kube = FakeKube()
    kube.answers["POST", PATH] = error(0)
    with pytest.raises(Unreachable):
        await TokenReviewer(kube).review(Redacted("t"), "a")
