"""`corsConfiguration` becomes the policy that answers preflights (AWS §4.7).

Called by the assemble pass for every API that has one.
"""

from __future__ import annotations

from portico_compiler import quantities
from portico_compiler.manifests import shapes
from portico_ir.policies import Cors


def cors(configuration: shapes.Cors | None) -> Cors | None:
    """The policy; origins stay as written, methods are upper case."""
    if configuration is None:
        return None
    return Cors(
        allow_origins=configuration.allow_origins,
        allow_methods=tuple(method.upper() for method in configuration.allow_methods),
        allow_headers=configuration.allow_headers,
        expose_headers=configuration.expose_headers,
        max_age=_seconds(configuration.max_age),
        allow_credentials=configuration.allow_credentials,
    )


def _seconds(age: int | str | None) -> int | None:
    if not isinstance(age, str):
        return age
    return -(-(quantities.milliseconds(age) or 0) // 1000)
