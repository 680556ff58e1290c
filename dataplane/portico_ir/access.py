"""Who may call, and how much, as data: authorizers, policy documents, keys, plans, signers.

Called like `model.py`, whose units hold these. Promises: no key and no secret in the clear:
an API key is its SHA-256, a signer's secret the keys derived from it for a few days (AWS §6.3).
"""

from __future__ import annotations

from typing import Literal

from portico_ir.policies import Struct
from portico_ir.secrets import Redacted
from portico_ir.targets import Target

# --- policy documents (AWS §3.21, §6.1) -----------------------------------------------------


class Condition(Struct, frozen=True, kw_only=True):
    """One operator on one key; all conditions of a statement must hold."""

    operator: str
    """`StringLike`, `IpAddress`, `DateGreaterThanIfExists`, `ForAnyValue:StringEquals`, …"""
    key: str
    """`aws:SourceIp`; compared without case."""
    values: tuple[str, ...]
    """One of them must match."""


class Statement(Struct, frozen=True, kw_only=True):
    """One statement; of a pair `x`, `not_x` one is empty."""

    allow: bool
    """`Effect: Allow`; otherwise Deny."""
    actions: tuple[str, ...] = ()
    """Patterns with `*` and `?`, compared without case."""
    not_actions: tuple[str, ...] = ()
    """`NotAction`."""
    resources: tuple[str, ...] = ()
    """Whole ARN patterns; compared with case, `*` takes `/` too."""
    not_resources: tuple[str, ...] = ()
    """`NotResource`."""
    principals: tuple[str, ...] = ()
    """`*` or ARNs; empty where the holder is the principal (a user's own policy)."""
    not_principals: tuple[str, ...] = ()
    """`NotPrincipal`."""
    conditions: tuple[Condition, ...] = ()
    """All must hold."""


class PolicyDocument(Struct, frozen=True, kw_only=True):
    """A policy: an explicit Deny wins, without an Allow it denies."""

    statements: tuple[Statement, ...]
    """In the order of the document."""


# --- authorizers ----------------------------------------------------------------------------


class IdentitySource(Struct, frozen=True, kw_only=True):
    """Where a credential stands."""

    place: Literal["header", "querystring", "context", "stageVariable"]
    """Part of the request."""
    name: str
    """Name of the header (any case), parameter, `$context` member or variable."""


class JwtAuthorizer(Struct, frozen=True, kw_only=True, tag_field="authorizer", tag="jwt"):
    """Tokens of an OpenID provider (AWS §4.9), or of Cognito user pools (AWS §6.2)."""

    name: str
    """namespace/name of the Authorizer, for logs and explain."""
    issuers: tuple[str, ...]
    """Exact values of `iss`; discovery starts there. One, or the pools of Cognito."""
    audience: tuple[str, ...] = ()
    """Values of which `aud` must hold one; empty: not looked at."""
    source: IdentitySource
    """Where the token stands, with or without `Bearer `."""
    profile: Literal["jwt", "cognito"] = "jwt"
    """`cognito`: ID tokens without scopes, access tokens with, REST's answers."""
    validation: str = ""
    """Cognito: pattern that `aud` must match whole; empty: none."""
    algorithms: tuple[str, ...] = ()
    """`alg` values taken; empty: every asymmetric one that fits the key it is signed with."""


class FunctionAuthorizer(Struct, frozen=True, kw_only=True, tag_field="authorizer", tag="function"):
    """A function or service that decides (AWS §4.10, §6.1)."""

    name: str
    """namespace/name of the Authorizer, for logs and explain; state is kept under it."""
    kind: Literal["TOKEN", "REQUEST"]
    """What it is asked."""
    target: Target
    """Where it answers."""
    function: str = ""
    """Name for the Invoke API; empty: the event is POSTed to the target as it is."""
    payload_format: Literal["", "1.0", "2.0"] = ""
    """HTTP APIs; empty: REST's event."""
    simple: bool = False
    """The answer is `{"isAuthorized": …}` (format 2.0)."""
    sources: tuple[IdentitySource, ...] = ()
    """All must be there; together they are the cache's key."""
    validation: str = ""
    """TOKEN: pattern that the token must match whole; empty: none."""
    ttl_s: int = 0
    """How long an answer is kept; 0: not at all."""
    stale_ms: int = 0
    """How long after that it stands in while no other can be had."""
    timeout_ms: int = 10_000
    """From the call sent to its answer complete."""


class ForwardAuthorizer(Struct, frozen=True, kw_only=True, tag_field="authorizer", tag="forward"):
    """A service that sees the head of a request and lets it through by a 2xx status (ours)."""

    name: str
    """namespace/name of the Authorizer, for logs and explain."""
    target: Target
    """Where it answers."""
    request_headers: tuple[str, ...] = ()
    """Lower case: headers of the request that it sees."""
    response_headers: tuple[str, ...] = ()
    """Lower case: headers of its consent that become `$context.authorizer.<name>`."""
    timeout_ms: int = 10_000
    """From the call sent to its answer complete."""


Authorizer = JwtAuthorizer | FunctionAuthorizer | ForwardAuthorizer


# --- keys and plans (AWS §7) ----------------------------------------------------------------


class Bucket(Struct, frozen=True, kw_only=True):
    """A token bucket."""

    rate: float
    """Tokens per second; fractions are fine."""
    burst: int
    """Capacity."""


class Quota(Struct, frozen=True, kw_only=True):
    """Requests of each key per period."""

    limit: int
    """Requests."""
    period: Literal["DAY", "WEEK", "MONTH"]
    """In UTC; weeks begin on Sunday."""
    offset: int = 0
    """Day of the period on which it begins: DAY 0, WEEK 0-6, MONTH 0-27 (AWS §7.2)."""


class PlanStage(Struct, frozen=True, kw_only=True):
    """A stage that a plan opens."""

    api: str
    """uid of the API."""
    stage: str
    """Its name."""
    throttles: dict[str, Bucket] = {}
    """Route key to a bucket of its own for each key."""


class Plan(Struct, frozen=True, kw_only=True):
    """A usage plan."""

    id: str
    """Ten characters [a-z0-9], as AWS's; state and usage are kept under it."""
    name: str
    """namespace/name."""
    stages: tuple[PlanStage, ...] = ()
    """What it opens."""
    throttle: Bucket | None = None
    """Each key's, over all stages of the plan."""
    quota: Quota | None = None
    """Each key's, over all stages of the plan."""
    extensions: dict[str, tuple[tuple[int, int], ...]] = {}
    """Key id to days, and what the key may do beyond the quota in the period of each; for whoever
    keeps usage (AWS §7.4)."""


class ApiKey(Struct, frozen=True, kw_only=True, gc=False):
    """A key, without its value; a disabled or broken one is not here."""

    id: str
    """Ten characters [a-z0-9]; what `$context.identity.apiKeyId` shows."""
    plans: tuple[str, ...] = ()
    """Ids of its plans."""
    customer: str = ""
    """customerId."""


# --- signers (AWS §6.3) ---------------------------------------------------------------------


class Signer(Struct, frozen=True, kw_only=True):
    """What verifies the signatures of one access key."""

    user: str
    """ARN: `arn:aws:iam::<account>:user/<name>`."""
    user_id: str
    """`AIDA…`: `$context.identity.user`."""
    namespace: str = ""
    """The user's own: what its APIs allow, and what the user may, are told apart no further."""
    apis: tuple[str, ...] = ()
    """uids of APIs elsewhere that count as its own (AWS §3.21, "same account")."""
    keys: dict[str, Redacted]
    """Date `YYYYMMDD` to the signing key (hex) of that day, this region, execute-api."""
    policy: PolicyDocument | None = None
    """What the user may call."""
