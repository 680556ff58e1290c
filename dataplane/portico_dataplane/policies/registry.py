"""Policy spec to what a route does about it; exhaustive.

Called by `build.py` for each route. A policy this build does not know never gets here: the
contract refuses the unit.
"""

from __future__ import annotations

from typing import assert_never

from portico_ir.policies import Cors, FailClosed, PolicySpec


def prepare(specs: tuple[PolicySpec, ...]) -> str:
    """Why the route must fail closed; empty when it need not."""
    reasons: list[str] = []
    for spec in specs:
        match spec:
            case FailClosed(reason=reason):
                reasons.append(reason or "fails closed")
            case Cors():
                # CORS belongs to the API (AWS §4.7); on a route it would go unnoticed.
                reasons.append("CORS is configured on the API, not on a route")
            case _:
                assert_never(spec)
    return "; ".join(reasons)
