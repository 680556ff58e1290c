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
from portico_ir.policies import Cors, PolicySpec, Struct
from portico_ir.targets import ServiceTarget as ServiceTarget
from portico_ir.targets import Target as Target
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


class RoutesUnit(Struct, frozen=True, kw_only=True, tag_field="unit", tag="routes"):
    """At most 500 routes. Unit id `routes/<namespace>/<Kind>/<name>/<stage or *>/<bucket>`."""

    api: str
    """Unit id of the API."""
    routes: tuple[Route, ...] = ()
    """Sorted by key."""
    authorizers: dict[str, Authorizer] = {}
    """What `Authorize` of these routes names."""


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


Unit = GatewayUnit | ApiUnit | RoutesUnit | KeysUnit | PlansUnit | SignersUnit


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


# --- parameter mapping (REST, AWS §3.7) -----------------------------------------------------


class FromRequest(Struct, frozen=True, kw_only=True, tag_field="from", tag="request"):
    """A value of the client's request."""

    place: Literal["path", "querystring", "header"]
    """Where it stands."""
    name: str
    """Its name, case-sensitive as AWS has it (AWS §3.2)."""
    multi: bool = False
    """All values instead of the last one."""


class FromContext(Struct, frozen=True, kw_only=True, tag_field="from", tag="context"):
    """A `$context` member."""

    name: str
    """Dotted, without `context.`."""


class FromLiteral(Struct, frozen=True, kw_only=True, tag_field="from", tag="literal"):
    """A constant; stage variables arrive as constants."""

    value: str
    """The text itself, without quotes."""


Source = FromRequest | FromContext | FromLiteral


class ParameterMapping(Struct, frozen=True, kw_only=True):
    """`integration.request.<place>.<name>` ← source. A missing source sets nothing."""

    place: Literal["path", "querystring", "header"]
    """What is set on the request to the backend."""
    name: str
    """Its name."""
    source: Source
    """Where the value comes from."""


# --- integrations -------------------------------------------------------------------------


class HttpProxy(Struct, frozen=True, kw_only=True, tag_field="type", tag="http_proxy"):
    """Pass the request on and stream the answer back (AWS §3.4, §4.3)."""

    targets: tuple[Target, ...]
    """At least one; several are weighted."""
    method: str = ""
    """Method towards the backend; empty: the client's."""
    timeout_ms: int = 29_000
    """From the request sent to the response head."""
    max_request_body: int = 10 * 1024 * 1024
    """Larger bodies answer 413."""
    preserve_host: bool = False
    """Send the client's Host instead of the target's."""
    mappings: tuple[ParameterMapping, ...] = ()
    """REST requestParameters."""


class LambdaProxy(Struct, frozen=True, kw_only=True, tag_field="type", tag="lambda_proxy"):
    """Invoke a function with an event and convert what it returns (AWS §3.27, §4.4, §4.5)."""

    target: Target
    """Where the Invoke API answers; its path is a prefix of the Invoke path."""
    function: str
    """Function name in `/2015-03-31/functions/<name>/invocations`."""
    payload_format: Literal["1.0", "2.0"] = "1.0"
    """Event format; REST always 1.0 (without `version`)."""
    timeout_ms: int = 29_000
    """From the invocation sent to its answer complete."""
    max_request_body: int = 10 * 1024 * 1024
    """Larger bodies answer 413; the body is buffered."""


class MockTemplate(Struct, frozen=True, kw_only=True):
    """A request template of a mock: all it may decide is a status (AWS §3.4 MOCK)."""

    content_type: str
    """Media type it answers to."""
    status: int | None = None
    """Constant `statusCode`; None when the template yields none, which answers 500."""
    status_param: str = ""
    """`$input.params('x')`: the status is the value of parameter x."""


class MockResponse(Struct, frozen=True, kw_only=True):
    """An integration response of a mock (AWS §3.10)."""

    pattern: str
    """Regular expression over the whole status; empty: the default response."""
    status: int
    """Status of the answer."""
    headers: tuple[tuple[str, str], ...] = ()
    """Literal response headers."""
    templates: tuple[tuple[str, str], ...] = ()
    """Media type to constant body, in the order of definition."""


class Mock(Struct, frozen=True, kw_only=True, tag_field="type", tag="mock"):
    """Answer without a backend."""

    templates: tuple[MockTemplate, ...] = ()
    """Request templates in the order of definition."""
    passthrough: Literal["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"] = "WHEN_NO_MATCH"
    """What a content type without template means (AWS §3.5)."""
    responses: tuple[MockResponse, ...] = ()
    """Candidates; none matching answers 500."""
    max_request_body: int = 10 * 1024 * 1024
    """Larger bodies answer 413."""


class Broken(Struct, frozen=True, kw_only=True, tag_field="type", tag="broken"):
    """The route exists and answers 500: its description could not be honoured."""

    reason: str
    """For logs and explain; never sent to a client."""


Integration = HttpProxy | LambdaProxy | Mock | Broken
