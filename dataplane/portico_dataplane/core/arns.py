"""ARNs of what a request calls: `arn:aws:execute-api:<region>:<account>:<api>/<stage>/GET/pets`.

Called by everything that judges a policy, and for the events of authorizers. Promises: what the
router takes for one path is one ARN, however the client spelt it, so that no spelling goes round
a policy; and no ARN holds a wildcard, so that an authorizer which allows the very ARN that it
was asked about allows no more than that.
"""

from __future__ import annotations

import re
from typing import Final

from portico_dataplane.core.messages import Request
from portico_ir.model import ApiKind, ApiUnit, GatewayUnit

LONGEST: Final = 1600
"""AWS §6.1: bytes of the ARN of a REST API's method; beyond it 414."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9\-._~!$&'()+,;=:@/]*")
_ESCAPE_OR_ODD: Final = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()+,;=:@/%]")
# RFC 3986 §3.3, pchar, but for `*`.
_PATH_CHARS: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()+,;=:@"
)


def api_arn(gateway: GatewayUnit, api: ApiUnit) -> str:
    """The ARN of an API, without a slash at its end."""
    return f"arn:aws:execute-api:{gateway.region}:{gateway.account_id}:{api.api_id}"


def method_arn(request: Request) -> str:
    """The ARN of what a request calls, with the concrete path (AWS §6.1)."""
    gateway = request.gateway
    api = request.api
    path = request.path
    if _PLAIN.fullmatch(path) is None:
        path = _ESCAPE_OR_ODD.sub(_canonical, path)
    if api.kind is ApiKind.REST and path[-1:] == "/" and len(path) > 1:
        # AWS §3.2.5: `/a` and `/a/` are the same resource.
        path = path[:-1]
    return (
        f"arn:aws:execute-api:{gateway.region}:{gateway.account_id}:{api.api_id}/"
        f"{request.stage.name}/{request.method}{path or '/'}"
    )


def _canonical(found: re.Match[str]) -> str:
    """An escape as RFC 3986 §6.2.2 normalises it: what may stand as it is does."""
    text = found[0]
    if len(text) == 1:
        return f"%{ord(text) & 0xFF:02X}"  # a raw path is the client's bytes as latin-1
    char = chr(int(text[1:], 16))
    return char if char in _PATH_CHARS else text.upper()


def masked(arn: str) -> str:
    """An ARN as clients may read it: all but four digits of the account are stars, as on AWS."""
    parts = arn.split(":", 5)
    if len(parts) == 6 and len(parts[4]) > 4:
        parts[4] = "*" * (len(parts[4]) - 4) + parts[4][-4:]
    return ":".join(parts)
