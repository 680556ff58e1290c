"""The policy of a RestApi as its stages hold it (AWS §3.21).

Called by the shards pass for each stage, with the spec that the stage serves: a deployment keeps
the policy that it was taken with. Promises: a policy that is not understood lets nobody in; its
API is not valid and answers 500 anyway.
"""

from __future__ import annotations

from portico_compiler.manifests import apis
from portico_ir.access import PolicyDocument
from portico_ir.policydocument import parse, written_out

_NOBODY = PolicyDocument(statements=())


def resource_policy(
    spec: apis.RestApiSpec | apis.HttpApiSpec, api_arn: str
) -> PolicyDocument | None:
    """The policy with whole ARNs; None: everybody may call what asks nobody else."""
    if not isinstance(spec, apis.RestApiSpec) or spec.policy is None:
        return None
    document = parse(spec.policy, "resource").document
    return _NOBODY if document is None else written_out(document, api_arn)
