"""What a Signature Version 4 costs a request; botocore signs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Keys

from access.stretches import HEADERS, Row, microseconds
from portico_dataplane.core import sigv4
from portico_dataplane.core.caller import Caller
from portico_dataplane.core.credentials import Credentials, Directory, KnownSigner
from portico_dataplane.core.verdicts import CONTINUE, NeedBody
from portico_dataplane.policies.signature import SignaturePolicy
from portico_ir import policydocument
from portico_ir.access import Signer
from portico_ir.model import ApiKind
from portico_ir.secrets import Redacted
from sample_requests import make_request

KEY_ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
GOAL: Final = 60.0
STATEMENT: Final = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}


def _directory(day: str) -> Directory:
    document = policydocument.parse({"Statement": [STATEMENT]}, "identity").document
    derived = sigv4.signing_key(SECRET, day, "us-east-1", "execute-api").hex()
    signer = Signer(
        user="arn:aws:iam::000000000000:user/default/u",
        user_id="AIDA1",
        namespace="default",
        keys={day: Redacted(derived)},
        policy=document,
    )
    found = Directory()
    found.credentials = Credentials(signers={KEY_ID: KnownSigner(signer)})
    return found


def _verify(body: bytes) -> Callable[[], object]:
    now = datetime.now(UTC)
    aws = AWSRequest("POST" if body else "GET", "https://shop.test/pets?b=2&a=1", data=body)
    SigV4Auth(Keys(KEY_ID, SECRET), "execute-api", "us-east-1").add_auth(aws)
    policy = SignaturePolicy(ApiKind.REST, _directory(now.strftime("%Y%m%d")))
    headers = [(b"Host", b"shop.test"), *HEADERS]
    headers += [(name.encode(), str(value).encode()) for name, value in aws.headers.items()]
    request = make_request(ApiKind.REST, method=aws.method, target="/pets?b=2&a=1")
    request.scheme = "https"
    request.received_ms = int(now.timestamp() * 1000)

    def act() -> object:
        request.headers = list(headers)
        request.caller = Caller()
        verdict = policy.on_request(request)
        return verdict.then(body) if isinstance(verdict, NeedBody) else verdict

    found = act()
    assert found is CONTINUE, found
    return act


def rows() -> list[Row]:
    """Without and with a body, which is hashed."""
    return [
        Row("signature, no body", microseconds(_verify(b"")), GOAL),
        Row("signature, 1 KB of body", microseconds(_verify(b"x" * 1000)), GOAL),
    ]
