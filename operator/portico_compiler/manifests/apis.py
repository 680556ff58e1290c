"""RestApi, HttpApi, WebSocketApi: an API without its routes.

Read by the passes that give an API its identity, hosts and stages.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from portico_compiler.manifests.shapes import (
    Cors,
    FunctionEndpoint,
    Model,
    Name,
    PolicyDocument,
    Shape,
    Status,
    Text,
)

DefaultStage = Literal["Auto", "Always", "Never"]
"""Whether `$default` exists without a Stage; Auto: until a Stage can serve."""

ModelName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9]+$", description="a model's name: letters and digits")
]
GatewayResponseType = Literal[
    "ACCESS_DENIED",
    "API_CONFIGURATION_ERROR",
    "AUTHORIZER_CONFIGURATION_ERROR",
    "AUTHORIZER_FAILURE",
    "BAD_REQUEST_BODY",
    "BAD_REQUEST_PARAMETERS",
    "DEFAULT_4XX",
    "DEFAULT_5XX",
    "EXPIRED_TOKEN",
    "INTEGRATION_FAILURE",
    "INTEGRATION_TIMEOUT",
    "INVALID_API_KEY",
    "INVALID_SIGNATURE",
    "MISSING_AUTHENTICATION_TOKEN",
    "QUOTA_EXCEEDED",
    "REQUEST_TOO_LARGE",
    "RESOURCE_NOT_FOUND",
    "THROTTLED",
    "UNAUTHORIZED",
    "UNSUPPORTED_MEDIA_TYPE",
    "WAF_FILTERED",
]
"""AWS §3.12."""


class GatewayResponse(Shape, frozen=True, kw_only=True):
    """How one kind of error is answered (AWS §3.12)."""

    status_code: Status | None = None
    """Status instead of the built-in one."""
    response_parameters: dict[str, str] = {}
    """`gatewayresponse.header.NAME` to its source."""
    response_templates: dict[str, str] = {}
    """Media type to text with `$context` and the like."""


class ApiExtensions(Shape, frozen=True, kw_only=True):
    """What a RestApi or HttpApi may say beyond AWS."""

    retry_after: bool = False
    """Answer 429 with Retry-After."""


class RestApiSpec(Shape, frozen=True, kw_only=True):
    """spec of a RestApi."""

    class_name: Name | None = None
    """PorticoClass; absent: the default one."""
    description: Text | None = None
    """For people."""
    version: Text | None = None
    """For people."""
    api_key_source: Literal["HEADER", "AUTHORIZER"] = "HEADER"
    """Where an API key comes from (AWS §6.5)."""
    binary_media_types: tuple[str, ...] = ()
    """Media types that are bytes (AWS §3.6)."""
    minimum_compression_size: Annotated[int, Meta(ge=0, le=10_485_760)] | None = None
    """Responses from this many bytes are compressed (AWS §3.19)."""
    models: dict[ModelName, Model] = {}
    """JSON schemas by name."""
    gateway_responses: Annotated[
        dict[GatewayResponseType, GatewayResponse], Meta(max_length=50)
    ] = {}
    """Answers to errors by type."""
    policy: PolicyDocument | None = None
    """Resource policy (AWS §3.21)."""
    disable_execute_api_endpoint: bool = False
    """The default endpoint refuses; only domains serve (AWS §8.6)."""
    default_stage: DefaultStage = "Auto"
    """Whether `$default` exists without a Stage."""
    functions: dict[str, FunctionEndpoint] = {}
    """Function name to where it is invoked."""
    cors_configuration: Cors | None = None
    """Managed CORS as on HTTP APIs (ours on REST)."""
    extensions: ApiExtensions | None = None
    """What AWS does not have."""
    open_api: dict[str, Any] | None = None
    """An OpenAPI document to take routes from."""


class HttpApiSpec(Shape, frozen=True, kw_only=True):
    """spec of an HttpApi."""

    class_name: Name | None = None
    """PorticoClass; absent: the default one."""
    description: Text | None = None
    """For people."""
    version: Text | None = None
    """For people."""
    cors_configuration: Cors | None = None
    """Managed CORS (AWS §4.7)."""
    disable_execute_api_endpoint: bool = False
    """The default endpoint refuses; only domains serve (AWS §8.6)."""
    default_stage: DefaultStage = "Auto"
    """Whether `$default` exists without a Stage."""
    functions: dict[str, FunctionEndpoint] = {}
    """Function name to where it is invoked."""
    extensions: ApiExtensions | None = None
    """What AWS does not have."""
    open_api: dict[str, Any] | None = None
    """An OpenAPI document to take routes from."""


class WebSocketApiSpec(Shape, frozen=True, kw_only=True):
    """spec of a WebSocketApi."""

    class_name: Name | None = None
    """PorticoClass; absent: the default one."""
    description: Text | None = None
    """For people."""
    version: Text | None = None
    """For people."""
    route_selection_expression: Annotated[str, Meta(min_length=1)] = "$request.body.action"
    """What of a message names its route (AWS §5.2)."""
    api_key_selection_expression: str = "$request.header.x-api-key"
    """Where an API key comes from (AWS §5.3)."""
    models: dict[ModelName, Model] = {}
    """JSON schemas by name."""
    disable_execute_api_endpoint: bool = False
    """The default endpoint refuses; only domains serve."""
    default_stage: DefaultStage = "Auto"
    """Whether `$default` exists without a Stage."""
    functions: dict[str, FunctionEndpoint] = {}
    """Function name to where it is invoked."""


ApiSpec = RestApiSpec | HttpApiSpec | WebSocketApiSpec


class RestApi(Shape, frozen=True, kw_only=True):
    """A RestApi's document."""

    spec: RestApiSpec = RestApiSpec()
    """What is wanted."""


class HttpApi(Shape, frozen=True, kw_only=True):
    """An HttpApi's document."""

    spec: HttpApiSpec = HttpApiSpec()
    """What is wanted."""


class WebSocketApi(Shape, frozen=True, kw_only=True):
    """A WebSocketApi's document."""

    spec: WebSocketApiSpec = WebSocketApiSpec()
    """What is wanted."""
