"""Who calls, as far as the chain of a route has found out.

Written by the policies of a route's chain, in their order; read by later ones, by `$context`
(access log, mappings) and by the events that functions get. A request without a chain shares
`NOBODY`, which nobody writes to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal


class Caller:
    """What is known of one request's caller. Defaults live on the class."""

    authorizer: Mapping[str, Any] | None = None
    """`$context.authorizer.*`: members by name; values keep their types (AWS §4.10, §6.1)."""
    event: Mapping[str, Any] | None = None
    """`requestContext.authorizer` of an event, as its format has it; None: absent."""
    principal: str = ""
    """`principalId`, `sub`, or the ARN of a user."""
    usage_key: str = ""
    """`usageIdentifierKey` of an authorizer (AWS §6.5)."""
    resource_policy: Literal["", "allow", "deny"] = ""
    """What the API's policy says about this request; empty: it is silent, or there is none."""
    api_key: str = ""
    """The key as sent: `$context.identity.apiKey`."""
    api_key_id: str = ""
    """`$context.identity.apiKeyId`."""
    plan: str = ""
    """Id of the usage plan that the key opened this stage with."""
    customer: str = ""
    """customerId of the key."""
    user_arn: str = ""
    """`$context.identity.userArn` and `caller` of a signed request (AWS §6.3)."""
    user_id: str = ""
    """`$context.identity.user`."""
    access_key: str = ""
    """`$context.identity.accessKey`."""
    authorizer_status: int = 0
    """Status of the authorizer's answer, for the access log; 0: none was asked."""
    authorizer_latency_ms: float = -1.0
    """How long it took; -1: none was asked."""


NOBODY: Final = Caller()
"""Nothing is known, and nothing was asked."""
