"""TokenReviewer: asks the API server whose token it is.

Given to `delivery.access`, which asks only what a token itself does not already rule out.
Promises: that nobody could answer is `Unreachable`, never a denial.
"""

from __future__ import annotations

from typing import Any

from portico_ir.secrets import Redacted
from portico_operator.cluster.client import ApiError, KubeClient
from portico_operator.delivery.access import Review, Unreachable

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_TIMEOUT_S = 5.0
_POD_UID = "authentication.kubernetes.io/pod-uid"
_POD_NAME = "authentication.kubernetes.io/pod-name"


class TokenReviewer:
    """Implements `delivery.access.Reviewer`."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    async def review(self, token: Redacted, audience: str) -> Review:
        """What the API server says of this token."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token.reveal(), "audiences": [audience]},
        }
        try:
            answer = await self._client.send("POST", _PATH, body, timeout=_TIMEOUT_S)
        except ApiError as why:
            raise Unreachable(str(why)) from why
        return _review(answer.get("status") or {})


def _review(status: dict[str, Any]) -> Review:
    user = status.get("user") or {}
    extra = user.get("extra") or {}
    return Review(
        authenticated=status.get("authenticated") is True,
        username=str(user.get("username") or ""),
        audiences=tuple(str(a) for a in status.get("audiences") or ()),
        pod_uid=_first(extra.get(_POD_UID)),
        pod_name=_first(extra.get(_POD_NAME)),
        error=str(status.get("error") or ""),
    )


def _first(values: Any) -> str:
    return str(values[0]) if isinstance(values, list) and values else ""
