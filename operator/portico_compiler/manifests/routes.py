"""Route: one key of an API and what it calls.

Read by the passes that place routes in their API and compile their integrations.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from portico_compiler.manifests.shapes import (
    ApiRef,
    Duration,
    FunctionRef,
    Ref,
    ServiceRef,
    Shape,
    Size,
    Status,
    StatusText,
    Throttle,
    WeightedBackend,
)

ContentHandling = Literal["CONVERT_TO_BINARY", "CONVERT_TO_TEXT"]
HttpMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "ANY"]


class TlsConfig(Shape, frozen=True, kw_only=True):
    """TLS towards the backend (AWS §3.22)."""

    insecure_skip_verification: bool = False
    """Take certificates of unknown authorities."""
    server_name_to_verify: str | None = None
    """Name for SNI and verification instead of the target's."""
    ca_ref: Ref | None = None
    """ConfigMap or Secret with the authorities to trust."""
    client_certificate_ref: Ref | None = None
    """Secret with the certificate that the gateway shows."""


class IntegrationResponse(Shape, frozen=True, kw_only=True):
    """How one kind of backend answer becomes a response (AWS §3.10)."""

    status_code: Status | None = None
    """Status of the answer; absent: the key, when it is a status, else 200."""
    response_parameters: dict[str, str] = {}
    """`method.response.header.NAME` to its source."""
    response_templates: dict[str, str] = {}
    """Media type to body template."""
    content_handling: ContentHandling | None = None
    """Conversion of the body (AWS §3.6)."""
    template_selection_expression: str | None = None
    """WebSocket: which template."""


class Integration(Shape, frozen=True, kw_only=True):
    """What a route calls (AWS §3.4, §4.3)."""

    type: Literal["HTTP_PROXY", "HTTP", "AWS_PROXY", "AWS", "MOCK"] = "HTTP_PROXY"
    """How request and answer are shaped."""
    service: ServiceRef | None = None
    """A Kubernetes Service."""
    url: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """A plain URL with `{name}` and `${stageVariables.x}`."""
    function: FunctionRef | None = None
    """A function behind the Invoke API."""
    backends: tuple[WeightedBackend, ...] = ()
    """Several weighted Services instead of `service`."""
    http_method: HttpMethod | None = None
    """Method towards the backend; absent or ANY: the client's."""
    timeout: Duration | None = None
    """From the request sent to the response head; default 29s, on HTTP APIs 30s."""
    connection_type: Literal["INTERNET", "VPC_LINK"] | None = None
    """Taken over from AWS; the network decides here."""
    credentials: str | None = None
    """Taken over from AWS: the role for the call."""
    tls_config: TlsConfig | None = None
    """TLS towards the backend."""
    request_parameters: dict[str, str] = {}
    """`integration.request.<place>.<name>` to its source (AWS §3.7); HTTP APIs: §4.6."""
    request_templates: dict[str, str] = {}
    """Media type to body template (AWS §3.9)."""
    passthrough_behavior: Literal["WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER"] = "WHEN_NO_MATCH"
    """What a content type without template means (AWS §3.5)."""
    content_handling: ContentHandling | None = None
    """Conversion of the request's body (AWS §3.6)."""
    cache_key_parameters: tuple[str, ...] = ()
    """What tells cached answers apart (AWS §3.17)."""
    cache_namespace: str | None = None
    """Which cache entries are shared (AWS §3.17)."""
    response_transfer_mode: Literal["BUFFERED", "STREAM"] | None = None
    """How the answer travels (AWS §3.20)."""
    responses: dict[str, IntegrationResponse] = {}
    """Pattern, or `default`, to the answer (AWS §3.10)."""
    response_parameters: dict[StatusText, dict[str, str]] = {}
    """HTTP APIs: status to mappings of the answer (AWS §4.6)."""
    template_selection_expression: str | None = None
    """WebSocket: which request template."""
    payload_format_version: Literal["1.0", "2.0"] | None = None
    """Format of a function's event; default 2.0 on HTTP APIs, always 1.0 on REST."""
    max_request_body: Size | None = None
    """Larger bodies answer 413; default 10Mi."""
    preserve_host: bool = False
    """Send the client's Host instead of the target's."""


class RequestValidator(Shape, frozen=True, kw_only=True):
    """What of a request is validated (AWS §3.11)."""

    validate_request_body: bool = False
    """The body against the model of its content type."""
    validate_request_parameters: bool = False
    """That required parameters are there."""


class MethodResponse(Shape, frozen=True, kw_only=True):
    """What a method declares to answer with one status."""

    headers: dict[str, bool] = {}
    """Response headers, and whether they are required."""
    models: dict[str, str] = {}
    """Media type to model name."""


class RouteResponse(Shape, frozen=True, kw_only=True):
    """WebSocket: what goes back to the client (AWS §5.3)."""

    models: dict[str, str] = {}
    """Key to model name."""
    model_selection_expression: str | None = None
    """Which model."""
    parameters: dict[str, bool] = {}
    """Parameters, and whether they are required."""


class RouteExtensions(Shape, frozen=True, kw_only=True):
    """What a Route may say beyond AWS."""

    client_throttle: Throttle | None = None
    """Token bucket of each client address on this route."""


class RouteSpec(Shape, frozen=True, kw_only=True):
    """spec of a Route."""

    api_ref: ApiRef
    """The API it belongs to."""
    route_key: Annotated[str, Meta(min_length=1, max_length=2048)]
    """`GET /pets/{petId}`, `ANY /x/{proxy+}`, `$default`, `$connect`, `sendMessage`."""
    integration: Integration | None = None
    """What it calls; `$connect`, `$disconnect` and `$default` of WebSocket APIs may lack it."""
    authorization_type: Literal["NONE", "AWS_IAM", "CUSTOM", "JWT", "COGNITO_USER_POOLS"] = "NONE"
    """Who may call."""
    authorizer_ref: Ref | None = None
    """The Authorizer for CUSTOM, JWT and COGNITO_USER_POOLS."""
    authorization_scopes: tuple[str, ...] = ()
    """Scopes of which a token must have one."""
    api_key_required: bool = False
    """Only with an API key of a usage plan."""
    throttle: Throttle | None = None
    """Token bucket of this route."""
    extensions: RouteExtensions | None = None
    """What AWS does not have."""
    operation_name: Annotated[str, Meta(max_length=128)] | None = None
    """For SDKs and documentation."""
    request_parameters: Annotated[dict[str, bool], Meta(max_length=200)] = {}
    """`method.request.<place>.<name>` to whether it is required (AWS §3.3)."""
    request_models: dict[str, str] = {}
    """Media type, or `$default`, to model name."""
    request_validator: RequestValidator | None = None
    """What of a request is validated."""
    method_responses: dict[StatusText, MethodResponse] = {}
    """Status to declared response."""
    route_response_selection_expression: str | None = None
    """WebSocket: `$default` makes the route answer."""
    route_responses: dict[str, RouteResponse] = {}
    """WebSocket: key to what goes back."""
    model_selection_expression: str | None = None
    """WebSocket: which model validates a message."""


class Route(Shape, frozen=True, kw_only=True):
    """A Route's document."""

    spec: RouteSpec
    """What is wanted."""
