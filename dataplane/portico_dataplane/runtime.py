"""Runtime: everything prepared, immutable, swapped as a whole.

Made by `build.py`, held by `holder.py`; a request takes one and keeps it to its end.
"""

from __future__ import annotations

from collections.abc import Callable

from portico_dataplane.core.domains import NO_DOMAINS, Domains
from portico_dataplane.core.load import Share
from portico_dataplane.core.messages import Outcome, Request
from portico_dataplane.core.router import Router
from portico_dataplane.core.verdicts import BufferedIntegration, RequestPolicy
from portico_dataplane.integrations.http import HttpForward, PreparedTarget
from portico_dataplane.policies.cors import CorsPolicy
from portico_dataplane.telemetry.ports import Meter
from portico_ir.model import ApiUnit, GatewayUnit, Route, Stage

LogLine = Callable[[Request, Outcome], str]


class RouteRuntime:
    """One route, ready to run."""

    __slots__ = ("broken", "buffered", "chain", "forward", "meter", "route", "target")

    def __init__(
        self,
        route: Route,
        forward: HttpForward | None,
        buffered: BufferedIntegration | None,
        broken: str,
        meter: Meter | None,
        target: PreparedTarget | None = None,
        chain: tuple[RequestPolicy, ...] = (),
    ) -> None:
        self.route = route
        self.forward = forward
        """Streams to an HTTP upstream."""
        self.buffered = buffered
        """Wants the whole body: function, mock."""
        self.broken = broken
        """Not empty: answers 500 and calls nothing."""
        self.meter = meter
        """Only where detailed metrics are on."""
        self.target = target
        """Where `buffered` finds its function."""
        self.chain = chain
        """What stands between a request and its integration, in the order of phases.py."""


class StageRuntime:
    """A stage with its router and its place in metrics and logs."""

    __slots__ = ("cors", "log_line", "meter", "router", "stage")

    def __init__(
        self,
        stage: Stage,
        router: Router[RouteRuntime],
        meter: Meter,
        log_line: LogLine | None,
        cors: CorsPolicy | None = None,
    ) -> None:
        self.stage = stage
        self.router = router
        self.meter = meter
        self.log_line = log_line
        self.cors = cors
        """Its API's, or that of the deployment which it serves."""


class ApiRuntime:
    """An API as requests meet it."""

    __slots__ = ("cors", "default_stage", "meter", "share", "sole_stage", "stages", "unit")

    def __init__(
        self,
        unit: ApiUnit,
        stages: dict[str, StageRuntime],
        cors: CorsPolicy | None,
        meter: Meter,
        share: Share | None = None,
    ) -> None:
        self.unit = unit
        self.share = share or Share()
        """Its requests under way, in this version and those before."""
        self.stages = stages
        """By name."""
        self.default_stage = stages.get("$default")
        self.sole_stage = self.default_stage if len(stages) == 1 else None
        """The `$default` stage when there is no other: no prefix to look for."""
        self.cors = cors
        """For requests that reach no stage."""
        self.meter = meter
        """For requests that reach no stage."""


class Runtime:
    """One configuration."""

    __slots__ = ("apis", "digest", "domains", "gateway", "hosts", "sole", "units")

    def __init__(
        self,
        digest: str,
        gateway: GatewayUnit,
        hosts: dict[str, ApiRuntime],
        apis: dict[str, ApiRuntime],
        sole: ApiRuntime | None,
        domains: Domains = NO_DOMAINS,
        units: dict[str, ApiRuntime] | None = None,
    ) -> None:
        self.digest = digest
        """Of the manifest as sent."""
        self.gateway = gateway
        self.hosts = hosts
        """Lower-case host to API."""
        self.apis = apis
        """apiId to API."""
        self.sole = sole
        """Takes unknown hosts in development with one API."""
        self.domains = domains
        """Hosts of one's own; a default endpoint's host comes first."""
        self.units = units or {}
        """Unit id to API: what domains name."""
