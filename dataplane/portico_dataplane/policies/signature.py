"""`authorizationType: AWS_IAM`: a Signature Version 4, and a policy that allows the call.

Made by the registry for such routes (AWS §6.3). Promises: the signature is held against keys
derived for one day, never a secret; every comparison takes the same time wherever two texts
differ; who is refused learns what AWS says and no more; a body is waited for only where there is
one; `Authorization` goes no further.
"""

from __future__ import annotations

import hashlib
from calendar import timegm
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from portico_dataplane.core import sigv4
from portico_dataplane.core.arns import masked, method_arn
from portico_dataplane.core.credentials import Directory, KnownSigner
from portico_dataplane.core.facts import facts_of
from portico_dataplane.core.judgement import Policy
from portico_dataplane.core.messages import Request
from portico_dataplane.core.sigv4 import Claim, Incomplete
from portico_dataplane.core.verdicts import CONTINUE, NeedBody, Reject, Verdict
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind

SKEW_S: Final = 300
"""AWS §6.3: clocks may differ by five minutes."""
_SERVICE: Final = "execute-api"

_MISSING: Final = Reject(ErrorKind.MISSING_AUTHENTICATION_TOKEN, "the request is not signed")
_BODY: Final = "x-amz-content-sha256 is not the hash of the body"


class SignaturePolicy:
    """One API's demand for a signature."""

    __slots__ = ("_directory", "_http", "_resource")

    def __init__(self, kind: ApiKind, directory: Directory, resource: Policy | None = None) -> None:
        self._directory = directory
        self._http = kind is ApiKind.HTTP
        self._resource = resource
        """The API's own policy, which may name who signed."""

    def on_request(self, request: Request) -> Verdict:
        """Who signed, and whether they may."""
        claim = sigv4.claim_of(request)
        if claim is None:
            return _MISSING
        if isinstance(claim, Incomplete):
            return self._refused(claim.message, "IncompleteSignature")
        fault = _scope_fault(claim, request) or _time_fault(claim, request.received_ms // 1000)
        if fault:
            return self._refused(fault, "InvalidSignature")
        if claim.token:
            return self._unknown("session tokens are issued by nobody here")
        signer = self._directory.credentials.signer(claim.access_key)
        if signer is None:
            return self._unknown(f"access key {claim.access_key[:32]!r} is unknown")
        key = signer.keys.get(claim.date)
        if key is None:
            # The operator derives keys for days around today (AWS §6.3 has no older ones either).
            return self._unknown(f"there is no key of {claim.date} for {claim.access_key[:32]!r}")
        return self._checked(request, claim, signer, key)

    def _checked(self, request: Request, claim: Claim, signer: KnownSigner, key: bytes) -> Verdict:
        said = request.header(b"x-amz-content-sha256")
        payload = "" if said is None else said.decode("latin-1")
        if payload == sigv4.UNSIGNED and request.scheme != "https":
            cause = "the body is not signed, and the connection is not encrypted"
            return self._invalid(cause)

        def with_body(body: bytes) -> Verdict:
            digest = hashlib.sha256(body).hexdigest() if body else sigv4.EMPTY_HASH
            if sigv4.is_digest(payload) and not sigv4.same(payload, digest):
                return self._invalid(_BODY)
            if not self._signed(request, claim, key, payload or digest):
                return self._invalid("the signature does not match")
            if payload == sigv4.STREAMED and not sigv4.chunks_hold(key, claim, body):
                return self._invalid("the signature of a chunk does not match")
            return self._admitted(request, claim, signer)

        return NeedBody(with_body)

    def _signed(self, request: Request, claim: Claim, key: bytes, payload: str) -> bool:
        for query in sigv4.canonical_queries(request.query):
            canonical = sigv4.canonical_request(request, claim, payload, query)
            if canonical is None:
                return False
            expected = sigv4.signature(key, sigv4.string_to_sign(claim, canonical))
            if sigv4.same(expected, claim.signature):
                return True
        return False

    def _admitted(self, request: Request, claim: Claim, signer: KnownSigner) -> Verdict:
        caller = request.caller
        caller.access_key = claim.access_key
        caller.user_arn = caller.principal = signer.arn
        caller.user_id = signer.user_id
        if self._http:
            caller.event = _iam_event(request, claim, signer)
        arn = method_arn(request)
        facts = facts_of(request)
        own = ""
        if signer.policy is not None:
            own = signer.policy.judge(arn, facts, (signer.arn,))
        if self._resource is not None:
            account = f"arn:aws:iam::{request.gateway.account_id}:root"
            caller.resource_policy = self._resource.judge(arn, facts, (signer.arn, account))
        said = (own, caller.resource_policy)
        if "deny" in said:
            return self._denied(request, arn, "with an explicit deny")
        # AWS §3.21, tables A and B: across accounts, here namespaces, both must allow.
        api = request.api
        needed = 1 if signer.belongs_to(api.namespace, api.uid) else 2
        if said.count("allow") < needed:
            return self._denied(request, arn, "")
        # AWS §6.3: the signature goes no further.
        request.headers = [pair for pair in request.headers if pair[0].lower() != b"authorization"]
        return CONTINUE

    # --- refusals (AWS §2.3) ------------------------------------------------------------------

    def _refused(self, message: str, error_type: str) -> Reject:
        return Reject(
            ErrorKind.INVALID_SIGNATURE,
            message,
            None if self._http else message,
            error_type=error_type,
        )

    def _invalid(self, cause: str) -> Reject:
        return Reject(ErrorKind.INVALID_SIGNATURE, cause)

    def _unknown(self, cause: str) -> Reject:
        text = "The security token included in the request is invalid."
        message = None if self._http else text
        return Reject(ErrorKind.INVALID_SIGNATURE, cause, message, error_type="UnrecognizedClient")

    def _denied(self, request: Request, arn: str, how: str) -> Reject:
        message = (
            f"User: {request.caller.user_arn} is not authorized to perform: execute-api:Invoke "
            f"on resource: {masked(arn)} {how}".rstrip()
        )
        return Reject(ErrorKind.ACCESS_DENIED, message, None if self._http else message)


def _scope_fault(claim: Claim, request: Request) -> str:
    if claim.terminator != sigv4.TERMINATOR:
        return "Credential should be scoped with a valid terminator: 'aws4_request'."
    if claim.service != _SERVICE:
        return f"Credential should be scoped to correct service: '{_SERVICE}'."
    if claim.region != request.gateway.region:
        return "Credential should be scoped to a valid region."
    if claim.date != claim.stamp[:8]:
        return (
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            f"from HTTP: '{claim.date[:16]}' != '{claim.stamp[:8]}', from '{claim.stamp}'."
        )
    if "host" not in claim.signed_headers:
        return "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    dates = {"x-amz-date", "date"}
    if claim.expires_s is None and dates.isdisjoint(claim.signed_headers):
        return "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."
    return ""


def _time_fault(claim: Claim, now: int) -> str:
    signed = _seconds(claim.stamp)
    if signed is None:
        return f"Date must be in ISO-8601 'basic format'. Got '{claim.stamp}'."
    if signed > now + SKEW_S:
        return (
            f"Signature not yet current: {claim.stamp} is still later than "
            f"{_stamp(now + SKEW_S)} ({_stamp(now)} + 5 min.)"
        )
    lasts = SKEW_S if claim.expires_s is None else claim.expires_s
    if signed + lasts < now:
        minutes = f"{_stamp(now)} - {lasts // 60} min."
        return (
            f"Signature expired: {claim.stamp} is now earlier than {_stamp(now - lasts)} "
            f"({minutes})"
        )
    return ""


@lru_cache(maxsize=256)
def _seconds(stamp: str) -> int | None:
    parts = (stamp[:4], stamp[4:6], stamp[6:8], stamp[9:11], stamp[11:13], stamp[13:15])
    try:
        # A tenth of what strptime takes.
        return timegm(datetime(*map(int, parts), tzinfo=UTC).timetuple())  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def _iam_event(request: Request, claim: Claim, signer: KnownSigner) -> dict[str, object]:
    """`requestContext.authorizer` of format 2.0 (AWS §4.4)."""
    return {
        "iam": {
            "accessKey": claim.access_key,
            "accountId": request.gateway.account_id,
            "callerId": signer.user_id,
            "cognitoIdentity": None,
            "principalOrgId": None,
            "userArn": signer.arn,
            "userId": signer.user_id,
        }
    }
