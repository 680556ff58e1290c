"""Authorizers that see the head of a request: `extensions.forwardAuth` (ours).

Called by `authorizers` for REQUEST, with a Scope whose Problems land on the Authorizer. Promises:
what belongs to authorizers that answer with a document is a Problem here, because nobody would
read it.
"""

from __future__ import annotations

import re
from typing import Final

from portico_compiler.features import targets
from portico_compiler.features.scope import Scope
from portico_compiler.manifests.access import AuthorizerSpec, ForwardAuth
from portico_compiler.problems import Reason, field_path
from portico_ir.access import ForwardAuthorizer
from portico_ir.model import Broken, Target

_FIELD: Final = "spec.extensions.forwardAuth"
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}\Z")
"""A header's name (RFC 9110 §5.1)."""
_OWN: Final = frozenset({"connection", "content-length", "host", "transfer-encoding", "te"})
"""Framing and routing of the question itself."""


def forward_authorizer(
    name: str, forward: ForwardAuth, spec: AuthorizerSpec, scope: Scope
) -> ForwardAuthorizer | Broken:
    """What is asked; `name` is namespace/name of the Authorizer."""
    for field, is_set in (
        ("function", spec.function is not None),
        ("identitySource", bool(spec.identity_source)),
        ("identityValidationExpression", spec.identity_validation_expression is not None),
        ("authorizerPayloadFormatVersion", spec.authorizer_payload_format_version is not None),
        ("enableSimpleResponses", spec.enable_simple_responses),
        ("authorizerResultTtl", spec.authorizer_result_ttl not in (None, "0s")),
    ):
        if is_set:
            message = "does not go with extensions.forwardAuth: a service sees each request itself"
            return scope.broken(f"spec.{field}", Reason.INVALID_COMBINATION, message)
    for part, names in (
        ("requestHeaders", forward.request_headers),
        ("responseHeaders", forward.response_headers),
    ):
        for position, header in enumerate(names):
            if not _NAME.match(header) or header.lower() in _OWN:
                field = field_path("spec", "extensions", "forwardAuth", part, position)
                message = f"{header!r} is no header that can be passed on"
                return scope.broken(field, Reason.INVALID_VALUE, message)
    target: Target | Broken
    if spec.service is not None:
        target = targets.service_target(spec.service, "spec.service", (), False, scope)
    elif spec.url is not None:
        target = targets.url_target(spec.url, "spec.url", (), False, scope)
    else:
        return scope.broken(_FIELD, Reason.MISSING_FIELD, "needs a service or url to ask")
    if isinstance(target, Broken):
        return target
    return ForwardAuthorizer(
        name=name,
        target=target,
        request_headers=_lower(forward.request_headers),
        response_headers=_lower(forward.response_headers),
    )


def _lower(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.lower() for name in names))
