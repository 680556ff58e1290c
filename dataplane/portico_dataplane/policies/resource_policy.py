"""The resource policy of a RestApi, about each request (AWS §3.21).

Made by the registry for every route of a stage that has one. Promises: an explicit Deny refuses
before an authorizer is asked; a route that asks nobody else, or only for a token, needs an
explicit Allow; what the policy says is known to whoever decides after it. For signed requests
`policies/signature.py` asks the policy itself, because statements may name who signed.
"""

from __future__ import annotations

from portico_dataplane.core.arns import masked, method_arn
from portico_dataplane.core.facts import facts_of
from portico_dataplane.core.judgement import Policy
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CONTINUE, Reject, Verdict
from portico_ir.errors import ErrorKind


class ResourcePolicy:
    """A stage's policy, where a route stands."""

    __slots__ = ("_alone", "_policy")

    def __init__(self, policy: Policy, *, alone: bool) -> None:
        self._policy = policy
        self._alone = alone
        """Nobody else says that the caller may call this."""

    def on_request(self, request: Request) -> Verdict:
        """Refuse, or note what was said."""
        arn = method_arn(request)
        said = self._policy.judge(arn, facts_of(request))
        request.caller.resource_policy = said
        if said == "deny":
            return _refused(arn, " with an explicit deny")
        if self._alone and said != "allow":
            return _refused(arn, "")
        return CONTINUE


def _refused(arn: str, how: str) -> Reject:
    """AWS §2.3; the caller is nobody in particular."""
    told = "User: anonymous is not authorized to perform: execute-api:Invoke on resource: "
    cause = f"the resource policy does not allow {arn}{how}"
    return Reject(ErrorKind.ACCESS_DENIED, cause, f"{told}{masked(arn)}{how}")
