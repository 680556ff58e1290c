"""Manifest, units and endpoints: the shapes that travel from the compiler to a data plane.

Called by the compiler's assemble pass (writes) and by the data plane's build (reads).
Promises: frozen, unknown fields refused (an unknown policy must not open a route), every
default means today's behaviour, so that a compiler one version ahead does not freeze a fleet.
Durations are integer milliseconds, sizes are bytes, both named so.
"""

from __future__ import annotations

import enum
from typing import Literal

import msgspec

from portico_ir.access import ApiKey, Authorizer, Bucket, Plan, PolicyDocument, Signer
from portico_ir.domains import DomainUnit as DomainUnit
from portico_ir.integrations import Broken as Broken
from portico_ir.integrations import FromContext as FromContext
from portico_ir.integrations import FromLiteral as FromLiteral
from portico_ir.integrations import FromRequest as FromRequest
from portico_ir.integrations import HttpProxy as HttpProxy
from portico_ir.integrations import Integration as Integration
from portico_ir.integrations import LambdaProxy as LambdaProxy
from portico_ir.integrations import Mock as Mock
from portico_ir.integrations import MockResponse as MockResponse
from portico_ir.integrations import MockTemplate as MockTemplate
from portico_ir.integrations import ParameterMapping as ParameterMapping
from portico_ir.integrations import Source as Source
from portico_ir.policies import Cors, PolicySpec, Struct
from portico_ir.secrets import Redacted
from portico_ir.targets import ServiceTarget as ServiceTarget
from portico_ir.targets import Target as Target
from portico_ir.targets import UpstreamTls as UpstreamTls
from portico_ir.targets import UrlTarget as UrlTarget

IR_VERSION = 1
"""Raised when a data plane of the previous version could not read what is written."""

MAX_ROUTES_PER_UNIT = 500
"""A larger API is cut into shards, so that one edit costs what one shard costs."""


class ApiKind(enum.StrEnum):
    """Which of AWS's products an API behaves like; decides error texts, routing, headers."""

    REST = "rest"
    HTTP = "http"
    WEBSOCKET = "websocket"


# --- manifest -----------------------------------------------------------------------------


class Manifest(Struct, frozen=True, kw_only=True):
    """The unit of change: a data plane fetches what it lacks, builds beside, swaps once."""

    ir_version: int
    """`IR_VERSION` of the compiler that wrote it."""
    units: dict[str, str]
    """Unit id to the SHA-256 (hex) of the unit's bytes as sent."""
    build: str = ""
    """Version of the compiler, for people who read a dump."""
    marks: dict[str, str] = {}
    """Highest resourceVersion seen by kind; a pod that changes operator goes only forward."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """One address that answers for an upstream."""

    host: str
    """IP address (or a host name in files); never a service name."""
    port: int
    """TCP port, 1 to 65535."""


class EndpointSet(Struct, frozen=True, kw_only=True):
    """The addresses of every upstream; outside units, so that churn rebuilds no router."""

    sequence: int = 0
    """Only forward: an older set never replaces a newer one."""
    upstreams: dict[str, tuple[Endpoint, ...]] = {}
    """Upstream id (`namespace/service:port`) to its ready addresses; empty means none ready."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """A manifest with its units and endpoints in one document: `portico compile -o` writes it."""

    manifest: Manifest
    """What the units below must add up to."""
    units: dict[str, msgspec.Raw] = {}
    """Unit id to the unit's own bytes, kept verbatim because the digest is of these bytes."""
    endpoints: EndpointSet = EndpointSet()
    """Addresses at the time of writing."""


# --- units --------------------------------------------------------------------------------


class Listener(Struct, frozen=True, kw_only=True):
    """Where traffic is accepted."""

    port: int
    """TCP port; 0 asks the system for a free one."""
    protocol: Literal["http", "https"] = "http"
    """`https` terminates TLS."""
    host: str = ""
    """Address to bind; empty means all."""


class GatewayUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="gateway"):
    """What holds for every API of this data plane. Unit id `gateway`."""

    account_id: str = "000000000000"
    """Twelve digits, in ARNs and `$context.accountId`."""
    region: str = "us-east-1"
    """In ARNs and signature scopes."""
    listeners: tuple[Listener, ...] = ()
    """Empty: the process listens where its command line says."""
    trusted_proxies: tuple[str, ...] = ()
    """CIDRs whose `X-Forwarded-For` is believed when the client's address is sought."""
    egress_allow: tuple[str, ...] = ()
    """CIDRs or host names that `url` targets may reach although they are private."""
    egress_open: bool = False
    """File mode: no address is refused (loopback is where the developer's services are)."""
    local_paths: bool = False
    """Serve `/_aws/execute-api/<apiId>/<stage>/…` under any host (development only)."""
    sole_api: str = ""
    """Unit id of the API that an unknown host reaches (development with just one API)."""
    account_throttle: Bucket | None = None
    """What all requests of all APIs pass last (AWS §3.18); absent: no bound."""
    https_port: int = 443
    """Where clients reach https: domains that send them there say so."""


class AccessLog(Struct, frozen=True, kw_only=True):
    """Where and how each request of a stage is written down (AWS §10.1)."""

    format: str
    """Text with `$context.…` variables; one line per request, unset variables print `-`."""
    destination: str = ""
    """Reserved for sinks beyond standard output."""


class Deployed(Struct, frozen=True, kw_only=True):
    """What of an API a stage has as it was deployed, not as the ApiUnit says."""

    cors: Cors | None = None
    """In place of the API's; absent: none."""


class Stage(Struct, frozen=True, kw_only=True):
    """A named way into an API."""

    name: str
    """`$default` has no path prefix; any other is the first path segment."""
    shards: tuple[str, ...] = ()
    """Unit ids of the route units this stage serves, in ascending order."""
    variables: dict[str, str] = {}
    """Stage variables, for events and mappings; those in targets are already resolved."""
    deployment_id: str = ""
    """What `$context.deploymentId` shows."""
    deployed: Deployed | None = None
    """Absent: the stage has all of the API as the ApiUnit says."""
    access_log: AccessLog | None = None
    """Absent: no access log."""
    detailed_metrics: tuple[str, ...] = ()
    """Route keys whose metrics are kept by route; `*` for all."""
    policy: PolicyDocument | None = None
    """Resource policy of the API (AWS §3.21), resources written out for this stage."""
    throttle: Bucket | None = None
    """What all requests of the stage pass (AWS §3.18)."""


class ApiUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="api"):
    """One API without its routes. Unit id `api/<namespace>/<Kind>/<name>`."""

    uid: str
    """Survives a rename of nothing: state outside a Runtime is kept under it."""
    api_id: str
    """Ten characters [a-z0-9], as in AWS's host names and ARNs."""
    kind: ApiKind
    """Which product it behaves like."""
    name: str
    """metadata.name."""
    namespace: str
    """metadata.namespace."""
    hosts: tuple[str, ...] = ()
    """Lower-case host names of the default endpoint, without port."""
    disable_default_endpoint: bool = False
    """`disableExecuteApiEndpoint`: the hosts above refuse (AWS §8.6)."""
    stages: tuple[Stage, ...] = ()
    """Every stage that serves, sorted by name."""
    cors: Cors | None = None
    """API-wide CORS; answered before anything else (AWS §4.7)."""
    broken: str = ""
    """Not empty: the whole API fails closed, and why."""
    retry_after: bool = False
    """Answer 429 with Retry-After (ours; AWS sends none)."""


class RoutesUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="routes"):
    """At most 500 routes. Unit id `routes/<namespace>/<Kind>/<name>/<stage or *>/<bucket>`; what
    all stages of a deployment share is `*@<deployment>`."""

    api: str
    """Unit id of the API."""
    routes: tuple[Route, ...] = ()
    """Sorted by key."""
    authorizers: dict[str, Authorizer] = {}
    """What `Authorize` of these routes names."""
    tls: dict[str, UpstreamTls] = {}
    """What targets of these routes name, by `codec.tls_key`."""


class KeysUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="keys"):
    """A share of the API keys, by a stable hash. Unit id `keys/<bucket>`."""

    keys: dict[str, ApiKey] = {}
    """SHA-256 (hex) of the value to the key."""


class PlansUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="plans"):
    """Every usage plan. Unit id `plans`."""

    plans: tuple[Plan, ...] = ()
    """Sorted by id."""


class SignersUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="signers"):
    """Every access key that may sign. Unit id `signers`."""

    signers: dict[str, Signer] = {}
    """Access key id to what verifies its signatures."""


class RedisStore(Struct, frozen=True, kw_only=True):
    """A Redis or Valkey that keeps counters and usage."""

    url: Redacted
    """`redis://`, `rediss://`, `redis+sentinel://` or `redis+cluster://`; may hold a password."""
    password: Redacted | None = None
    """From a Secret; counts before one in the URL."""


class StoreUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="store"):
    """Where pods settle their leases (design §7). Unit id `store`."""

    name: str = "portico"
    """Whose counters they are; classes that share a Redis have different ones."""
    redis: RedisStore | None = None
    """Absent: the operator, and where there is none, memory."""
    keep: bool = True
    """Store away: live on the last shares; otherwise refuse."""


Unit = (
    GatewayUnit | ApiUnit | RoutesUnit | KeysUnit | PlansUnit | SignersUnit | StoreUnit | DomainUnit
)


# --- routes -------------------------------------------------------------------------------


class RestSegments(Struct, frozen=True, kw_only=True, tag_field="match", tag="rest"):
    """A REST resource and method: AWS §3.2."""

    method: str
    """Upper case, or `ANY` (the seven methods of AWS §3.2.4)."""
    path: str
    """`/`, `/pets/{petId}`, `/files/{proxy+}`."""


class HttpSegments(Struct, frozen=True, kw_only=True, tag_field="match", tag="http"):
    """An HTTP API's route key with method and path: AWS §4.2."""

    method: str
    """Upper case, or `ANY`."""
    path: str
    """As in RestSegments; here a trailing slash tells two paths apart."""


class DefaultMatch(Struct, frozen=True, kw_only=True, tag_field="match", tag="default"):
    """`$default`: takes what no other route takes."""


Match = RestSegments | HttpSegments | DefaultMatch


class Route(Struct, frozen=True, kw_only=True):
    """One key of an API and what happens to a request that matches it."""

    key: str
    """The routeKey as written (`GET /pets/{petId}`); unique within a stage."""
    match: Match
    """When it applies."""
    integration: Integration
    """What it calls."""
    object: str = ""
    """`namespace/name` of the object it came from, for explain, dumps and logs."""
    resource_id: str = ""
    """What `$context.resourceId` shows; REST only."""
    operation_name: str = ""
    """As declared."""
    policies: tuple[PolicySpec, ...] = ()
    """Order in the file does not matter; phases.py orders them."""
