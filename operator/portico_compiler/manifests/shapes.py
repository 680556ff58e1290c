"""Types that several kinds share: references, targets, durations, sizes, throttles.

Used by the other modules of this package. A constraint is written once, as a named type whose
`Meta.description` is the sentence a user reads when the constraint is broken.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


class Shape(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
):
    """What every struct of our own kinds has in common."""


Duration = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
        max_length=32,
        description="a duration such as 29s, 1m30s or 500ms",
    ),
]
SizeText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$",
        max_length=20,
        description="a size such as 10Mi, 1Gi or 65536",
    ),
]
SizeNumber = Annotated[int, Meta(ge=0)]
Size = SizeText | SizeNumber
Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
        description="the name of an object: lower-case letters, digits, '-' and '.'",
    ),
]
Namespace = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=63,
        description="the name of a namespace: lower-case letters, digits and '-'",
    ),
]
Host = Annotated[
    str,
    Meta(
        pattern=r"^(\*\.)?[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
        r"(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*$",
        max_length=253,
        description="a host name, optionally with a leading *.",
    ),
]
PortNumber = Annotated[int, Meta(ge=1, le=65535)]
PortName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=15,
        description="a port number, or the name of a port of the Service",
    ),
]
StatusText = Annotated[
    str, Meta(pattern=r"^[1-5][0-9][0-9]$", description="a status code from 100 to 599")
]
StatusNumber = Annotated[int, Meta(ge=100, le=599)]
Status = StatusText | StatusNumber
Rate = Annotated[float, Meta(ge=0)]
Text = Annotated[str, Meta(max_length=1024)]
PolicyDocument = dict[str, Any] | str
"""A policy as JSON, or as a text that holds JSON."""


class Ref(Shape, frozen=True, kw_only=True):
    """Names an object of a kind that the field decides."""

    name: Name
    """metadata.name of the object."""
    namespace: Namespace | None = None
    """Its namespace; absent: that of the object which refers."""


class ApiRef(Shape, frozen=True, kw_only=True):
    """Names an API."""

    name: Name
    """metadata.name of the API."""
    namespace: Namespace | None = None
    """Its namespace; absent: that of the object which refers."""
    kind: Literal["RestApi", "HttpApi", "WebSocketApi"] = "RestApi"
    """Which kind of API."""


class SecretKeyRef(Shape, frozen=True, kw_only=True):
    """Names a Secret, or one entry of it."""

    name: Name
    """metadata.name of the Secret."""
    namespace: Namespace | None = None
    """Its namespace; absent: that of the object which refers."""
    key: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    """One entry of the Secret; absent: the field that refers says what that means."""


class PlacedSecretKeyRef(Shape, frozen=True, kw_only=True):
    """Names an entry of a Secret, from an object that is in no namespace."""

    name: Name
    """metadata.name of the Secret."""
    namespace: Namespace
    """Its namespace."""
    key: Annotated[str, Meta(min_length=1, max_length=253)] | None = None
    """The entry; absent: the field that refers says which."""


class ServiceRef(Shape, frozen=True, kw_only=True):
    """A port of a Kubernetes Service, and the path behind it."""

    name: Namespace
    """metadata.name of the Service."""
    namespace: Namespace | None = None
    """Its namespace; absent: that of the object which refers."""
    port: PortNumber | PortName
    """Number or name of a port of the Service."""
    path: Annotated[str, Meta(max_length=4096)] | None = None
    """Path and query with `{name}` and `${stageVariables.x}`; absent: the client's path."""
    scheme: Literal["http", "https"] = "http"
    """How to speak to it."""


class WeightedBackend(Shape, frozen=True, kw_only=True):
    """One of several Services that share a route."""

    service: ServiceRef
    """Where this share goes."""
    weight: Annotated[int, Meta(ge=0, le=1_000_000)] = 1
    """Share among the backends; 0 takes nothing."""


class FunctionEndpoint(Shape, frozen=True, kw_only=True):
    """Where a function's Invoke API answers; an entry of an API's `functions`."""

    service: ServiceRef | None = None
    """A Service that speaks the Invoke API."""
    url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    """A URL that speaks the Invoke API."""


class InlineFunction(Shape, frozen=True, kw_only=True):
    """A function and its endpoint, said in place."""

    name: Annotated[str, Meta(min_length=1, max_length=256)]
    """Function name in the Invoke path."""
    service: ServiceRef | None = None
    """A Service that speaks the Invoke API."""
    url: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    """A URL that speaks the Invoke API."""


FunctionName = Annotated[str, Meta(min_length=1, max_length=1024)]
FunctionRef = FunctionName | InlineFunction
"""A name (or Lambda ARN) looked up in the API's `functions`, or the function itself."""


class Throttle(Shape, frozen=True, kw_only=True):
    """A token bucket (AWS §3.18)."""

    rate_limit: Rate | None = None
    """Tokens per second; fractions allowed."""
    burst_limit: Rate | None = None
    """Capacity of the bucket."""


class LabelSelectorRequirement(Shape, frozen=True, kw_only=True):
    """One requirement of a selector, as Kubernetes has it."""

    key: str
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How values relate."""
    values: tuple[str, ...] = ()
    """Values for In and NotIn."""


class LabelSelector(Shape, frozen=True, kw_only=True):
    """A selector over labels, as Kubernetes has it."""

    match_labels: dict[str, str] = {}
    """Labels that must be there with this value."""
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
    """Requirements that must all hold."""


class Cors(Shape, frozen=True, kw_only=True):
    """`corsConfiguration` (AWS §4.7)."""

    allow_origins: tuple[
        Annotated[
            str,
            Meta(
                pattern=r"^(\*|https?://\*|[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s*]+|null)$",
                max_length=512,
                description="an origin (https://example.com), *, https://* or http://*",
            ),
        ],
        ...,
    ] = ()
    """Origins that may read answers."""
    allow_methods: tuple[
        Annotated[str, Meta(pattern=r"^(\*|[A-Za-z]+)$", description="a method such as GET, or *")],
        ...,
    ] = ()
    """Methods that a preflight allows."""
    allow_headers: tuple[
        Annotated[
            str,
            Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="a header name, or *"),
        ],
        ...,
    ] = ()
    """Request headers that a preflight allows."""
    expose_headers: tuple[
        Annotated[
            str,
            Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", description="a header name, or *"),
        ],
        ...,
    ] = ()
    """Response headers that scripts may read."""
    max_age: Annotated[int, Meta(ge=-1, le=86400)] | Duration | None = None
    """How long a preflight may be kept: seconds from -1 to 86400, or a duration."""
    allow_credentials: bool = False
    """Cookies and such are allowed; never with origin `*`."""


class Model(Shape, frozen=True, kw_only=True):
    """A JSON schema of an API (AWS §3.11)."""

    content_type: str = "application/json"
    """Media type that it describes."""
    schema: dict[str, Any] | str = {}
    """The schema, as JSON or as a text that holds JSON."""
    description: Text | None = None
    """For people."""
