"""Stage and ApiDeployment: named ways into an API, and frozen states of one.

Read by the stages pass.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from portico_compiler.manifests.shapes import ApiRef, Rate, Ref, Shape, Text

StageName = Annotated[
    str,
    Meta(
        pattern=r"^(\$default|[A-Za-z0-9_-]+)$",
        max_length=128,
        description="a stage name: letters, digits, '-' and '_', or $default",
    ),
]
VariableName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_]+$",
        max_length=64,
        description="a variable's name: letters, digits and '_', at most 64",
    ),
]
VariableValue = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9\-._~:/?#&=,]+$",
        max_length=512,
        description="a variable's value: letters, digits and -._~:/?#&=, at most 512 (AWS §3.14)",
    ),
]


class MethodSettings(Shape, frozen=True, kw_only=True):
    """Settings of one method, or of all (AWS §3.15)."""

    metrics_enabled: bool | None = None
    """Metrics by route."""
    logging_level: Literal["OFF", "ERROR", "INFO"] = "OFF"
    """Execution log."""
    data_trace_enabled: bool = False
    """Execution log with bodies."""
    throttling_burst_limit: Rate | None = None
    """Capacity of the token bucket."""
    throttling_rate_limit: Rate | None = None
    """Tokens per second."""
    caching_enabled: bool = False
    """Keep answers (AWS §3.17)."""
    cache_ttl_in_seconds: Annotated[int, Meta(ge=0, le=3600)] | None = None
    """How long answers are kept."""
    cache_data_encrypted: bool = False
    """Encrypt what is kept."""
    require_authorization_for_cache_control: bool = True
    """Only the authorised may refresh an entry."""
    unauthorized_cache_control_header_strategy: (
        Literal[
            "FAIL_WITH_403",
            "SUCCEED_WITH_RESPONSE_HEADER",
            "SUCCEED_WITHOUT_RESPONSE_HEADER",
        ]
        | None
    ) = None
    """What the others get."""


class RouteSettings(Shape, frozen=True, kw_only=True):
    """Settings of one route, or of all (AWS §4.8)."""

    detailed_metrics_enabled: bool | None = None
    """Metrics by route."""
    data_trace_enabled: bool = False
    """WebSocket: execution log with bodies."""
    logging_level: Literal["OFF", "ERROR", "INFO"] = "OFF"
    """WebSocket: execution log."""
    throttling_burst_limit: Rate | None = None
    """Capacity of the token bucket."""
    throttling_rate_limit: Rate | None = None
    """Tokens per second."""


class CanarySettings(Shape, frozen=True, kw_only=True):
    """A share of a stage's requests that another deployment takes (AWS §3.16)."""

    deployment_ref: Ref | None = None
    """ApiDeployment of the share."""
    percent_traffic: Annotated[float, Meta(ge=0, le=100)] = 0
    """Share in percent."""
    stage_variable_overrides: dict[VariableName, VariableValue] = {}
    """Variables that differ in the share."""
    use_stage_cache: bool = False
    """Share the stage's cache."""


class AccessLogSettings(Shape, frozen=True, kw_only=True):
    """Where and how requests are written down (AWS §10.1)."""

    format: str
    """One line with `$context` variables; at most 3 KB."""
    destination: str | None = None
    """Reserved for sinks beyond standard output."""


class StageSpec(Shape, frozen=True, kw_only=True):
    """spec of a Stage."""

    api_ref: ApiRef
    """The API it belongs to."""
    stage_name: StageName
    """First path segment; `$default` has none."""
    description: Text | None = None
    """For people."""
    deployment_ref: Ref | None = None
    """ApiDeployment whose state is served; absent: always the current routes."""
    variables: Annotated[dict[VariableName, VariableValue], Meta(max_length=100)] = {}
    """Stage variables (AWS §3.14)."""
    method_settings: Annotated[dict[str, MethodSettings], Meta(max_length=5000)] = {}
    """REST: `*/*` or `~1pets/GET` to settings (AWS §3.15)."""
    default_route_settings: RouteSettings | None = None
    """HTTP, WebSocket: settings of every route."""
    route_settings: dict[str, RouteSettings] = {}
    """HTTP, WebSocket: route key to settings."""
    canary_settings: CanarySettings | None = None
    """A share for another deployment."""
    access_log_settings: AccessLogSettings | None = None
    """Access log; absent: none."""
    cache_cluster_enabled: bool = False
    """Response cache (AWS §3.17)."""
    cache_cluster_size: str | None = None
    """Its size in GB."""
    tracing_enabled: bool = False
    """Active tracing (AWS §10.6)."""
    client_certificate_ref: Ref | None = None
    """Secret with the certificate shown to backends."""


class Stage(Shape, frozen=True, kw_only=True):
    """A Stage's document."""

    spec: StageSpec
    """What is wanted."""


class ApiDeploymentSpec(Shape, frozen=True, kw_only=True):
    """spec of an ApiDeployment; immutable."""

    api_ref: ApiRef
    """The API whose state is taken."""
    description: Text | None = None
    """For people."""
    expected_digest: (
        Annotated[
            str,
            Meta(
                pattern=r"^(sha256:)?[0-9a-f]{64}$",
                description="a SHA-256 in hex, as `portico digest` prints it",
            ),
        ]
        | None
    ) = None
    """Take the state that has this digest, at once, and no other."""
    revision_ref: Ref | None = None
    """Revision to restore instead of taking one: the ControllerRevision that bears its name."""


class ApiDeployment(Shape, frozen=True, kw_only=True):
    """An ApiDeployment's document."""

    spec: ApiDeploymentSpec
    """What is wanted."""
