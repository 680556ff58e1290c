"""The format of conformance cases: YAML files as typed cases.

Read by the runner and by the pytest suite. Promises: a case that the format does not allow is an
`Unreadable` with the place and the reason, never a case that checks less than it says; what a
case needs is worked out here (tests/conformance/README.md).
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import yaml
from msgspec import UNSET, UnsetType

CASES = Path(__file__).resolve().parent.parent / "conformance" / "cases"

CAPABILITIES = frozenset(
    {
        "api-key",
        "authorizer-iam",
        "authorizer-jwt",
        "authorizer-lambda",
        "base-path",
        "binary",
        "cache",
        "canary",
        "compression",
        "connections-api",
        "cors",
        "gateway-responses",
        "http-custom",
        "http-proxy",
        "lambda",
        "lambda-custom",
        "mock",
        "mtls",
        "openapi-import",
        "param-mapping",
        "resource-policy",
        "stage-variables",
        "streaming",
        "test-invoke",
        "throttle",
        "usage-plan",
        "validation",
        "vtl",
        "websocket",
    }
)
"""Everything that a case may need; another name is a capability that is not built."""

BUILT = frozenset(
    {
        "api-key",
        "authorizer-iam",
        "authorizer-jwt",
        "authorizer-lambda",
        "base-path",
        "cors",
        "http-proxy",
        "lambda",
        "mock",
        "openapi-import",
        "resource-policy",
        "stage-variables",
        "throttle",
        "usage-plan",
    }
)
"""What the engine has; cases that need more are skipped and counted. Only ever grows."""

MATCHERS = frozenset({"$absent", "$any", "$contains", "$regex", "$type"})

REQUEST_PARTS = frozenset({"method", "path", "query", "headers", "body", "body_base64"})

HeaderList = list[tuple[str, str]]
HeaderMap = dict[str, str | list[str]]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every part of a case has in common: a field that is not known here is an error."""


class Respond(Part, frozen=True, kw_only=True):
    """The fixed answer of an HTTP backend."""

    status: int = 200
    headers: HeaderMap = {}
    body: str | None = None
    body_base64: str | None = None


class Backend(Part, frozen=True, kw_only=True):
    """What an integration reaches."""

    kind: Literal["http", "echo", "lambda"]
    respond: Respond | None = None
    returns: Any | UnsetType = UNSET
    raises: str | None = None
    raw: str | None = None
    echo_event: bool = False


class Canary(Part, frozen=True, kw_only=True):
    """A share of a stage's requests for another document."""

    percentTraffic: float = 0
    stageVariableOverrides: dict[str, str] = {}
    useStageCache: bool = False
    api: dict[str, Any] | None = None


class Stage(Part, frozen=True, kw_only=True):
    """The stage that the requests go to."""

    name: str = "test"
    variables: dict[str, str] = {}
    method_settings: dict[str, dict[str, Any]] = {}
    canary: Canary | None = None


class ApiKey(Part, frozen=True, kw_only=True):
    """An API key with its value."""

    name: str
    value: str
    enabled: bool = True


class UsagePlan(Part, frozen=True, kw_only=True):
    """A plan, its keys by name and its stages by name (those of the case when absent)."""

    name: str
    keys: list[str] = []
    stages: list[str] | None = None
    throttle: dict[str, float] | None = None
    quota: dict[str, Any] | None = None


class SigningKey(Part, frozen=True, kw_only=True):
    """A key that an issuer publishes."""

    kid: str
    alg: str


class Issuer(Part, frozen=True, kw_only=True):
    """An OpenID issuer that the runner serves."""

    keys: list[SigningKey]


class Token(Part, frozen=True, kw_only=True):
    """A token that the runner signs. exp, nbf, iat of `+N` are seconds from now."""

    issuer: str
    kid: str
    alg: str
    claims: dict[str, Any]


class Request(Part, frozen=True, kw_only=True):
    """An HTTP request, as written on the wire."""

    method: str
    path: str
    headers: HeaderList = []
    body: str | None = None
    body_base64: str | None = None
    signed: bool = False


class Connect(Part, frozen=True, kw_only=True):
    """Open a WebSocket."""

    client: str = "default"
    path: str = "/"
    headers: HeaderList = []
    subprotocols: list[str] = []


class Send(Part, frozen=True, kw_only=True):
    """Send a message, in frames of `frame` bytes when that is given."""

    client: str = "default"
    text: str | None = None
    binary_base64: str | None = None
    size: int | None = None
    fill: str = "x"
    frame: int | None = None


class Receive(Part, frozen=True, kw_only=True):
    """Wait for what comes next on a WebSocket."""

    client: str = "default"


class Post(Part, frozen=True, kw_only=True):
    """A call of the @connections API."""

    connection: str = "default"
    id: str | None = None
    method: str = "POST"
    body: str | None = None
    size: int | None = None
    signed: bool = True


class Close(Part, frozen=True, kw_only=True):
    """Close a WebSocket from the client's side."""

    client: str = "default"
    code: int = 1000


class BackendExpectation(Part, frozen=True, kw_only=True):
    """What a backend must have received."""

    name: str
    calls: Any | UnsetType = UNSET
    event: Any | UnsetType = UNSET
    request: Any | UnsetType = UNSET


class Expectation(Part, frozen=True, kw_only=True):
    """What must be true after a step."""

    status: Any | UnsetType = UNSET
    headers: dict[str, Any] = {}
    header_names: list[str] = []
    body: Any | UnsetType = UNSET
    body_base64: str | None = None
    body_contains: list[str] | str = []
    json: Any | UnsetType = UNSET
    text: Any | UnsetType = UNSET
    text_contains: list[str] | str = []
    size: int | None = None
    close: dict[str, Any] | None = None
    nothing: bool = False
    backend: BackendExpectation | list[BackendExpectation] = []

    @property
    def backends(self) -> list[BackendExpectation]:
        """The backends that it speaks of."""
        return self.backend if isinstance(self.backend, list) else [self.backend]


class Step(Part, frozen=True, kw_only=True):
    """One thing to do, and what must come of it."""

    request: Request | None = None
    connect: Connect | None = None
    send: Send | None = None
    receive: Receive | None = None
    post: Post | None = None
    close: Close | None = None
    expect: Expectation = Expectation()

    @property
    def action(self) -> Request | Connect | Send | Receive | Post | Close:
        """The one thing."""
        done = [
            action
            for action in (
                self.request,
                self.connect,
                self.send,
                self.receive,
                self.post,
                self.close,
            )
            if action is not None
        ]
        if len(done) != 1:
            raise ValueError("a step does one thing")
        return done[0]


class Described(Part, frozen=True, kw_only=True):
    """What every case says about itself."""

    id: str
    source: str
    basis: Literal["recorded", "documented"]
    title: str = ""
    needs: list[str] | None = None
    file: str = ""


class Domain(Part, frozen=True, kw_only=True):
    """A custom domain that the requests go to, and the keys that map to the case's stage."""

    name: str
    keys: tuple[str, ...] = ("",)


class Exchange(Described, frozen=True, kw_only=True):
    """A configuration, requests or messages, and answers."""

    protocol: Literal["rest", "http", "websocket"]
    api: dict[str, Any]
    steps: list[Step]
    stage: Stage = Stage()
    domain: Domain | None = None
    backends: dict[str, Backend] = {}
    issuers: dict[str, Issuer] = {}
    tokens: dict[str, Token] = {}
    api_keys: list[ApiKey] = []
    usage_plans: list[UsagePlan] = []


class Conversion(Described, frozen=True, kw_only=True):
    """What a Lambda function returned, and the answer made of it."""

    protocol: Literal["rest", "http"]
    payload: str
    expect: Expectation
    returns: Any | UnsetType = UNSET
    raises: str | None = None
    raw: str | None = None


class Template(Described, frozen=True, kw_only=True):
    """A mapping template, its inputs, and the text rendered."""

    template: str
    body: str | None = None
    params: dict[str, dict[str, str]] = {}
    context: dict[str, Any] = {}
    stageVariables: dict[str, str] = {}
    expect: Any | UnsetType = UNSET
    expect_error: bool = False


class Unreadable(NamedTuple):
    """A case that the format does not allow."""

    id: str
    file: str
    reason: str


Case = Exchange | Conversion | Template


def needed(case: Case) -> frozenset[str]:
    """Capabilities that a case needs; some kinds of case do not say it themselves."""
    if case.needs is not None:
        return frozenset(case.needs)
    if isinstance(case, Template):
        return frozenset({"vtl"})
    return frozenset({"lambda"}) if isinstance(case, Conversion) else frozenset()


def missing(case: Case) -> frozenset[str]:
    """Capabilities that a case needs and the engine has not."""
    return needed(case) - BUILT


def load(place: Path = CASES) -> list[Case | Unreadable]:
    """Every case of a file, or of every file below a folder, in the order of their names."""
    files = [place] if place.is_file() else sorted(place.rglob("*.y*ml"))
    return [case for path in files for case in load_file(path)]


@functools.cache
def load_file(path: Path) -> tuple[Case | Unreadable, ...]:
    """The cases of a file; one that cannot be read at all is one `Unreadable`."""
    try:
        raw = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return (Unreadable(path.stem, path.name, f"no YAML: {error}"),)
    if not isinstance(raw, list):
        return (Unreadable(path.stem, path.name, "a file is a list of cases"),)
    return tuple(read_case(each, path.name, f"{path.stem}[{i}]") for i, each in enumerate(raw))


def read_case(raw: Any, file: str, fallback_id: str) -> Case | Unreadable:
    """A case from its mapping."""
    if not isinstance(raw, dict):
        return Unreadable(fallback_id, file, "a case is a mapping")
    name = str(raw.get("id", fallback_id))
    kind: type[Case] = Exchange
    if "template" in raw:
        kind = Template
    elif "steps" not in raw and "payload" in raw:
        kind = Conversion
    try:
        case = msgspec.convert({**raw, "file": file}, kind)
    except (msgspec.ValidationError, TypeError) as error:
        return Unreadable(name, file, str(error))
    reason = _fault(case)
    return Unreadable(name, file, reason) if reason else case


def _fault(case: Case) -> str:
    """What types cannot say."""
    if isinstance(case, Template):
        if case.expect_error == (case.expect is not UNSET):
            return "a template case has either expect or expect_error"
        return _unknown_matcher(case.expect)
    if isinstance(case, Conversion):
        if sum((case.returns is not UNSET, case.raises is not None, case.raw is not None)) != 1:
            return "a function either returns, raises or gives raw bytes"
        return _fault_of(case.expect, {"fn"})
    for number, step in enumerate(case.steps):
        try:
            _ = step.action
        except ValueError as error:
            return f"steps[{number}]: {error}"
        fault = _fault_of(step.expect, set(case.backends))
        if fault:
            return f"steps[{number}].expect: {fault}"
    return ""


def _fault_of(expect: Expectation, backends: set[str]) -> str:
    for backend in expect.backends:
        if backend.name not in backends:
            return f"there is no backend {backend.name!r}"
        for part in (backend.calls, backend.event, backend.request):
            fault = _unknown_matcher(part)
            if fault:
                return fault
        wanted = backend.request
        unknown = wanted.keys() - REQUEST_PARTS - MATCHERS if isinstance(wanted, dict) else set()
        if unknown:
            return f"a request has no {', '.join(sorted(unknown))}"
    parts = (expect.status, expect.headers, expect.body, expect.json, expect.text)
    return next((fault for part in parts if (fault := _unknown_matcher(part))), "")


def _unknown_matcher(value: Any) -> str:
    """A mapping that looks like a matcher and is none would be compared as it stands."""
    if isinstance(value, list):
        return next((fault for each in value if (fault := _unknown_matcher(each))), "")
    if not isinstance(value, dict):
        return ""
    dollars = {key for key in value if isinstance(key, str) and key.startswith("$")}
    if dollars and (dollars != value.keys() or not dollars <= MATCHERS):
        return f"unknown matcher {sorted(value, key=str)}"
    return next((fault for each in value.values() if (fault := _unknown_matcher(each))), "")
