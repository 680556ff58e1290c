"""Authorizer, UsagePlan, ApiKey, IamUser: who may call, and how often.

Decoded and checked here; the passes make routes that depend on them fail closed until built.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from portico_compiler.manifests.shapes import (
    ApiRef,
    Duration,
    FunctionRef,
    PolicyDocument,
    Ref,
    SecretKeyRef,
    ServiceRef,
    Shape,
    Text,
    Throttle,
)
from portico_compiler.manifests.stages import StageName


class JwtConfiguration(Shape, frozen=True, kw_only=True):
    """What a JWT must say (AWS §4.9)."""

    issuer: Annotated[str, Meta(min_length=1, max_length=2048)]
    """`iss`, and where discovery starts."""
    audience: Annotated[tuple[str, ...], Meta(max_length=50)] = ()
    """Values of which `aud` must hold one."""


Algorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]
"""Signatures of tokens; never `none`, never a shared secret."""


class ForwardAuth(Shape, frozen=True, kw_only=True):
    """A service gets the head of the request itself, by GET, and consents with a 2xx status."""

    request_headers: Annotated[tuple[str, ...], Meta(max_length=50)] = ("Authorization", "Cookie")
    """Headers of the request that it sees, besides X-Forwarded-Method, -Proto, -Host, -Uri and
    -For."""
    response_headers: Annotated[tuple[str, ...], Meta(max_length=50)] = ()
    """Headers of its consent that become `$context.authorizer.<name in lower case>`."""


class AuthorizerExtensions(Shape, frozen=True, kw_only=True):
    """What AWS has no field for."""

    algorithms: tuple[Algorithm, ...] = ()
    """JWT, COGNITO_USER_POOLS: `alg` values taken; absent: all that fit the issuer's keys."""
    stale_if_error: Duration | None = None
    """TOKEN, REQUEST: how long a kept answer stands in for an authorizer that fails."""
    forward_auth: ForwardAuth | None = None
    """REQUEST: `service` or `url` is asked as login proxies are, with the request's own head."""


class AuthorizerSpec(Shape, frozen=True, kw_only=True):
    """spec of an Authorizer."""

    api_ref: ApiRef
    """The API it belongs to."""
    authorizer_type: Literal["TOKEN", "REQUEST", "JWT", "COGNITO_USER_POOLS"]
    """How it decides (AWS §6)."""
    identity_source: str | tuple[str, ...] | None = None
    """Where credentials stand."""
    identity_validation_expression: str | None = None
    """Pattern of a token."""
    jwt_configuration: JwtConfiguration | None = None
    """For JWT; for COGNITO_USER_POOLS an issuer in the place of the pools (ours)."""
    # AWS's spelling; the camel rule would make it `providerArns`.
    provider_arns: tuple[str, ...] = msgspec.field(name="providerARNs", default=())
    """For COGNITO_USER_POOLS: the pools."""
    service: ServiceRef | None = None
    """For TOKEN and REQUEST: a Service that decides."""
    url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    """For TOKEN and REQUEST: a URL that decides."""
    function: FunctionRef | None = None
    """For TOKEN and REQUEST: a function that decides."""
    authorizer_payload_format_version: Literal["1.0", "2.0"] | None = None
    """Format of the question (AWS §4.10)."""
    enable_simple_responses: bool = False
    """The answer is isAuthorized."""
    authorizer_result_ttl: Duration | None = None
    """How long an answer is kept; a verified token is always kept until it expires."""
    extensions: AuthorizerExtensions | None = None
    """What AWS has no field for."""


class Authorizer(Shape, frozen=True, kw_only=True):
    """An Authorizer's document."""

    spec: AuthorizerSpec
    """What is wanted."""


class Quota(Shape, frozen=True, kw_only=True):
    """Requests per period (AWS §7.2)."""

    limit: Annotated[int, Meta(ge=0)]
    """Requests in a period."""
    period: Literal["DAY", "WEEK", "MONTH"]
    """Length of a period, in UTC."""
    offset: Annotated[int, Meta(ge=0)] = 0
    """Day of the period on which it begins."""


class PlanStage(Shape, frozen=True, kw_only=True):
    """A stage of an API that a plan opens."""

    api_ref: ApiRef
    """The API."""
    stage: StageName
    """Its stage."""
    throttle: dict[str, Throttle] = {}
    """Route key to a token bucket of its own."""


class UsagePlanSpec(Shape, frozen=True, kw_only=True):
    """spec of a UsagePlan."""

    description: Text | None = None
    """For people."""
    api_stages: tuple[PlanStage, ...] = ()
    """What the plan opens."""
    throttle: Throttle | None = None
    """Token bucket of each key."""
    quota: Quota | None = None
    """Requests of each key per period."""


class UsagePlan(Shape, frozen=True, kw_only=True):
    """A UsagePlan's document."""

    spec: UsagePlanSpec = UsagePlanSpec()
    """What is wanted."""


class ApiKeySpec(Shape, frozen=True, kw_only=True):
    """spec of an ApiKey."""

    description: Text | None = None
    """For people."""
    enabled: bool = True
    """A disabled key answers 403."""
    customer_id: str | None = None
    """Taken over from AWS."""
    usage_plan_refs: tuple[Ref, ...] = ()
    """Plans that it belongs to."""
    secret_ref: SecretKeyRef
    """Where the value lives; without `key` every entry is a key."""


class ApiKey(Shape, frozen=True, kw_only=True):
    """An ApiKey's document."""

    spec: ApiKeySpec
    """What is wanted."""


class AccessKey(Shape, frozen=True, kw_only=True):
    """An access key of an IamUser."""

    secret_ref: SecretKeyRef
    """Secret with its id and secret."""


class IamUserSpec(Shape, frozen=True, kw_only=True):
    """spec of an IamUser."""

    access_keys: tuple[AccessKey, ...] = ()
    """Keys that sign for this user."""
    policy: PolicyDocument | None = None
    """What the user may call."""


class IamUser(Shape, frozen=True, kw_only=True):
    """An IamUser's document."""

    spec: IamUserSpec = IamUserSpec()
    """What is wanted."""
