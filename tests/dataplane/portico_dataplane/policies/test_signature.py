"""AWS_IAM (AWS §6.3): who signed, whether it holds, whether they may; the words of AWS."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from portico_dataplane.core import sigv4
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.credentials import Credentials, Directory, KnownSigner
from portico_dataplane.core.judgement import Policy
from portico_dataplane.core.messages import Request
from portico_dataplane.core.verdicts import CONTINUE, NeedBody, Reject, Verdict
from portico_dataplane.policies.signature import SignaturePolicy
from portico_ir import policydocument
from portico_ir.access import PolicyDocument, Signer
from portico_ir.errors import ErrorKind
from portico_ir.model import ApiKind, ApiUnit, Broken, GatewayUnit, HttpSegments, Route, Stage
from portico_ir.secrets import Redacted

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ARN = "arn:aws:iam::000000000000:user/default/u"
URL = "https://shop.test/prod/pets?b=2&a=1"


def document(*statements: dict[str, Any]) -> PolicyDocument:
    parsed = policydocument.parse(
        {"Version": "2012-10-17", "Statement": list(statements)}, "identity"
    )
    assert parsed.document is not None
    return parsed.document


def allow(resource: str = "*", effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}


class Bed:
    """A directory with one signer, and what asks it."""

    def __init__(
        self,
        kind: ApiKind = ApiKind.REST,
        policy: PolicyDocument | None = None,
        namespace: str = "default",
        apis: tuple[str, ...] = (),
    ) -> None:
        today = datetime.now(UTC)
        days = [(today + timedelta(days=d)).strftime("%Y%m%d") for d in (-1, 0, 1)]
        derived = {
            day: Redacted(sigv4.signing_key(SECRET, day, "us-east-1", "execute-api").hex())
            for day in days
        }
        signer = Signer(
            user=ARN, user_id="AIDA1", namespace=namespace, apis=apis, keys=derived, policy=policy
        )
        directory = Directory()
        directory.credentials = Credentials(signers={KEY_ID: KnownSigner(signer)})
        self.kind = kind
        self.policy = SignaturePolicy(kind, directory)

    def request(self, aws: AWSRequest, **changes: Any) -> Request:
        _, _, rest = aws.url.partition("://")
        authority, slash, target = rest.partition("/")
        path, _, query = (slash + target).partition("?")
        request = Request()
        request.method, request.raw_path, request.query = aws.method, path, query
        request.path = path.removeprefix("/prod")
        request.scheme = aws.url.partition(":")[0]
        request.headers = [(b"Host", authority.encode())]
        request.headers += [(k.encode(), str(v).encode()) for k, v in aws.headers.items()]
        request.gateway = GatewayUnit()
        request.api = ApiUnit(
            uid="uid", api_id="api", kind=self.kind, name="n", namespace="default"
        )
        request.stage = Stage(name="prod")
        match = HttpSegments(method="GET", path="/pets")
        request.route = Route(key="GET /pets", match=match, integration=Broken(reason="r"))
        request.source_ip = "10.0.0.1"
        request.received_ms = int(datetime.now(UTC).timestamp() * 1000)
        request.caller = Caller()
        for name, value in changes.items():
            setattr(request, name, value)
        return request

    def ask(self, request: Request, body: bytes = b"") -> Verdict:
        verdict = self.policy.on_request(request)
        return verdict.then(body) if isinstance(verdict, NeedBody) else verdict


def signed(
    method: str = "GET",
    url: str = URL,
    body: bytes = b"",
    *,
    keys: Keys | None = None,
    region: str = "us-east-1",
    service: str = "execute-api",
    headers: dict[str, str] | None = None,
) -> AWSRequest:
    aws = AWSRequest(method, url, headers or {}, body)
    SigV4Auth(keys or Keys(KEY_ID, SECRET), service, region).add_auth(aws)
    return aws


ALLOWED = document(allow())


def test_a_good_signature_of_who_may() -> None:
    bed = Bed(policy=ALLOWED)
    request = bed.request(signed())
    assert bed.ask(request) is CONTINUE
    caller = request.caller
    assert (caller.user_arn, caller.access_key, caller.user_id) == (ARN, KEY_ID, "AIDA1")
    assert request.header(b"authorization") is None
    assert request.header(b"x-amz-date") is not None


def test_bodies_are_signed_too() -> None:
    bed = Bed(policy=ALLOWED)
    aws = signed("POST", body=b'{"a": 1}')
    assert bed.ask(bed.request(aws), b'{"a": 1}') is CONTINUE
    refused = bed.ask(bed.request(aws), b'{"a": 2}')
    assert isinstance(refused, Reject)
    assert refused.kind is ErrorKind.INVALID_SIGNATURE


def test_a_hash_that_is_said_must_be_that_of_the_body() -> None:
    bed = Bed(policy=ALLOWED)
    digest = hashlib.sha256(b"one").hexdigest()
    aws = signed("POST", body=b"one", headers={"X-Amz-Content-Sha256": digest})
    assert bed.ask(bed.request(aws), b"one") is CONTINUE
    assert isinstance(bed.ask(bed.request(aws), b"two"), Reject)


def test_an_unsigned_body_only_where_nobody_can_change_it() -> None:
    bed = Bed(policy=ALLOWED)
    headers = {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}
    aws = signed("POST", body=b"x", headers=headers)
    assert bed.ask(bed.request(aws), b"anything") is CONTINUE
    plain = signed("POST", URL.replace("https", "http"), b"x", headers=headers)
    assert isinstance(bed.ask(bed.request(plain), b"anything"), Reject)


def test_the_query_form_holds_as_long_as_it_says() -> None:
    bed = Bed(policy=ALLOWED)
    aws = AWSRequest("GET", URL)
    SigV4QueryAuth(Keys(KEY_ID, SECRET), "execute-api", "us-east-1", 900).add_auth(aws)
    assert bed.ask(bed.request(aws)) is CONTINUE
    now = int(datetime.now(UTC).timestamp() * 1000)
    assert bed.ask(bed.request(aws, received_ms=now + 600_000)) is CONTINUE
    late = bed.ask(bed.request(aws, received_ms=now + 1_000_000))
    assert isinstance(late, Reject)
    assert "Signature expired" in (late.message or "")


def says(verdict: Verdict) -> tuple[ErrorKind, str, str | None]:
    assert isinstance(verdict, Reject)
    return verdict.kind, verdict.error_type, verdict.message


def test_no_signature() -> None:
    bed = Bed(policy=ALLOWED)
    found = bed.ask(bed.request(AWSRequest("GET", URL)))
    assert says(found) == (ErrorKind.MISSING_AUTHENTICATION_TOKEN, "", None)


@pytest.mark.parametrize(
    ("aws", "text"),
    [
        (signed(region="eu-west-3"), "Credential should be scoped to a valid region."),
        (
            signed(service="s3"),
            "Credential should be scoped to correct service: 'execute-api'.",
        ),
    ],
    ids=["region", "service"],
)
def test_a_scope_of_elsewhere(aws: AWSRequest, text: str) -> None:
    bed = Bed(policy=ALLOWED)
    assert says(bed.ask(bed.request(aws))) == (
        ErrorKind.INVALID_SIGNATURE,
        "InvalidSignature",
        text,
    )


@pytest.mark.parametrize("seconds", [-301, 301])
def test_clocks_may_differ_by_five_minutes(seconds: int) -> None:
    bed = Bed(policy=ALLOWED)
    aws = signed()
    now = datetime.now(UTC).timestamp()
    inside = int((now + seconds * 0.9) * 1000)
    assert bed.ask(bed.request(aws, received_ms=inside)) is CONTINUE
    kind, type_, message = says(
        bed.ask(bed.request(aws, received_ms=int((now + seconds * 1.1) * 1000)))
    )
    assert (kind, type_) == (ErrorKind.INVALID_SIGNATURE, "InvalidSignature")
    word = "Signature expired" if seconds > 0 else "Signature not yet current"
    assert message is not None
    assert message.startswith(word)


@pytest.mark.parametrize(
    "keys",
    [Keys("AKIAUNKNOWNUNKNOWN00", SECRET), Keys(KEY_ID, SECRET, "session")],
    ids=["unknown key", "session token"],
)
def test_who_is_not_known(keys: Keys) -> None:
    bed = Bed(policy=ALLOWED)
    assert says(bed.ask(bed.request(signed(keys=keys)))) == (
        ErrorKind.INVALID_SIGNATURE,
        "UnrecognizedClient",
        "The security token included in the request is invalid.",
    )


def test_a_wrong_secret() -> None:
    bed = Bed(policy=ALLOWED)
    found = bed.ask(bed.request(signed(keys=Keys(KEY_ID, "other"))))
    assert says(found) == (ErrorKind.INVALID_SIGNATURE, "", None)


def test_a_malformed_one() -> None:
    bed = Bed(policy=ALLOWED)
    request = bed.request(AWSRequest("GET", URL, {"Authorization": "Bearer abc"}))
    kind, type_, message = says(bed.ask(request))
    assert (kind, type_) == (ErrorKind.INVALID_SIGNATURE, "IncompleteSignature")
    assert "not a valid key=value pair (missing equal-sign)" in (message or "")


@pytest.mark.parametrize("dropped", ["host", "x-amz-date"])
def test_what_must_be_signed(dropped: str) -> None:
    bed = Bed(policy=ALLOWED)
    aws = signed()
    text = aws.headers["Authorization"].replace(f"{dropped};", "").replace(f";{dropped}", "")
    aws.headers.replace_header("Authorization", text)
    kind, _, message = says(bed.ask(bed.request(aws)))
    assert kind is ErrorKind.INVALID_SIGNATURE
    assert message is None or "must be a 'SignedHeader'" in message


SHOP = "arn:aws:execute-api:us-east-1:000000000000:api/prod/GET/pets"


@pytest.mark.parametrize(
    ("own", "resource", "namespace", "expected"),
    [
        # AWS §3.21, table A.
        (document(allow()), "allow", "default", ""),
        (document(allow()), "", "default", ""),
        (document(allow()), "deny", "default", "with an explicit deny"),
        (None, "allow", "default", ""),
        (None, "", "default", "no"),
        (None, "deny", "default", "with an explicit deny"),
        (document(allow(effect="Deny"), allow()), "allow", "default", "with an explicit deny"),
        (document(allow(SHOP)), "", "default", ""),
        (document(allow(SHOP.replace("GET", "POST"))), "", "default", "no"),
        # Table B: another namespace is another account.
        (document(allow()), "allow", "stranger", ""),
        (document(allow()), "", "stranger", "no"),
        (None, "allow", "stranger", "no"),
    ],
)
def test_who_may(own: PolicyDocument | None, resource: Any, namespace: str, expected: str) -> None:
    bed = Bed(policy=own, namespace=namespace)
    request = bed.request(signed())
    request.caller.resource_policy = resource
    found = bed.ask(request)
    if not expected:
        assert found is CONTINUE
        return
    kind, _, message = says(found)
    assert kind is ErrorKind.ACCESS_DENIED
    assert message is not None
    assert message.startswith(f"User: {ARN} is not authorized to perform: execute-api:Invoke on ")
    assert message.endswith("with an explicit deny") is (expected != "no")


def test_a_granted_api_counts_as_their_own() -> None:
    bed = Bed(policy=ALLOWED, namespace="stranger", apis=("uid",))
    assert bed.ask(bed.request(signed())) is CONTINUE


def test_http_apis_say_forbidden_and_no_more() -> None:
    bed = Bed(ApiKind.HTTP)
    assert says(bed.ask(bed.request(signed()))) == (ErrorKind.ACCESS_DENIED, "", None)
    wrong = bed.ask(bed.request(signed(region="eu-west-3")))
    assert says(wrong)[2] is None


def test_the_event_of_format_2() -> None:
    bed = Bed(ApiKind.HTTP, policy=ALLOWED)
    request = bed.request(signed())
    assert bed.ask(request) is CONTINUE
    assert request.caller.event is not None
    assert request.caller.event["iam"]["userArn"] == ARN
    assert request.caller.event["iam"]["accessKey"] == KEY_ID


@pytest.mark.parametrize(
    ("principal", "effect", "own", "expected"),
    [
        (ARN, "Allow", None, "allow"),
        ("000000000000", "Allow", None, "allow"),
        ("arn:aws:iam::000000000000:user/default/x", "Allow", None, "deny"),
        ("arn:aws:iam::000000000000:user/default/x", "Deny", ALLOWED, "allow"),
        (ARN, "Deny", ALLOWED, "deny"),
    ],
)
def test_the_api_s_own_policy_may_name_the_signer(
    principal: str, effect: str, own: PolicyDocument | None, expected: str
) -> None:
    """AWS §3.21: it is asked when it is known who calls."""
    bed = Bed(policy=own)
    statement = {**allow(effect=effect), "Principal": {"AWS": principal}}
    parsed = policydocument.parse({"Statement": statement}, "resource")
    assert parsed.document is not None
    bed.policy = SignaturePolicy(ApiKind.REST, bed.policy._directory, Policy(parsed.document))
    verdict = bed.ask(bed.request(signed()))
    assert (verdict is CONTINUE) is (expected == "allow")
    if isinstance(verdict, Reject):
        assert verdict.kind is ErrorKind.ACCESS_DENIED
        assert str(verdict.message).startswith(f"User: {ARN} is not authorized")
