"""Policy documents are read as AWS writes them, or not at all."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portico_ir.access import Condition, PolicyDocument, Statement
from portico_ir.policydocument import LONGEST_RESOURCE, Holder, parse, written_out

ARN = "arn:aws:execute-api:us-east-1:111122223333:abc/test/GET/pets"


BAD_ADDRESSES: list[Any] = ["everywhere", [], None, {}, ["192.0.2.1", None]]


def statement(**fields: Any) -> dict[str, Any]:
    made = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*", **fields}
    return {name: value for name, value in made.items() if value is not None}


def document(*statements: Any, **fields: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements), **fields}


def only(written: object, holder: Holder = "identity") -> Statement:
    parsed = parse(written, holder)
    assert parsed.document is not None, parsed.flaws
    (found,) = parsed.document.statements
    return found


def test_a_statement_in_full() -> None:
    found = only(
        document(
            statement(
                Sid="one",
                Effect="Deny",
                Principal={"AWS": ["111122223333", "arn:aws:iam::1:user/x"], "Service": "s3"},
                Action=["execute-api:*", "*"],
                Resource=["execute-api:/test/GET/pets", ARN],
                Condition={
                    "IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]},
                    "Bool": {"aws:SecureTransport": False},
                    "NumericLessThan": {"aws:EpochTime": 17},
                },
            ),
            Id="x",
        ),
        "resource",
    )
    assert found == Statement(
        allow=False,
        actions=("execute-api:*", "*"),
        resources=("execute-api:/test/GET/pets", ARN),
        principals=("arn:aws:iam::111122223333:root", "arn:aws:iam::1:user/x", "Service:s3"),
        conditions=(
            Condition(
                operator="IpAddress",
                key="aws:SourceIp",
                values=("192.0.2.0/24", "2001:db8::/32"),
            ),
            Condition(operator="Bool", key="aws:SecureTransport", values=("false",)),
            Condition(operator="NumericLessThan", key="aws:EpochTime", values=("17",)),
        ),
    )


def test_what_is_not_meant() -> None:
    found = only(
        document(
            statement(
                Action=None,
                NotAction="execute-api:InvalidateCache",
                Resource=None,
                NotResource=[ARN],
                NotPrincipal={"AWS": "*"},
            )
        ),
        "resource",
    )
    assert found.not_actions == ("execute-api:InvalidateCache",)
    assert found.not_resources == (ARN,)
    assert found.not_principals == ("*",)
    assert found.actions == found.resources == found.principals == ()


def test_a_text_of_json_and_a_single_statement() -> None:
    written = json.dumps({"Statement": statement()})
    assert only(written) == only(written.encode()) == only({"Statement": statement()})


def test_variables_came_with_the_second_version() -> None:
    named = "arn:aws:execute-api:*:*:*/*/GET/users/${aws:username}"
    assert only(document(statement(Resource=named))).resources == (named,)
    for version in ({"Version": "2008-10-17"}, {"Version": None}):
        old = {k: v for k, v in (document(statement(Resource=named)) | version).items() if v}
        assert only(old).resources == (named.replace("${", "${$}{"),)


@pytest.mark.parametrize(
    ("written", "holder", "steps"),
    [
        ("{", "identity", ()),
        ("[" * 100_000, "identity", ()),
        (b"\xff", "identity", ()),
        (None, "identity", ()),
        ([], "identity", ()),
        ({}, "identity", ("Statement",)),
        (document(), "identity", ("Statement",)),
        (document(Statement="Allow"), "identity", ("Statement",)),
        (document(statement(), Version="2026-01-01"), "identity", ("Version",)),
        (document(statement(), Statment=[]), "identity", ("Statment",)),
        (document("Allow"), "identity", ("Statement", 0)),
        (document(statement(), statement(Effect="allow")), "identity", ("Statement", 1, "Effect")),
        (document(statement(Effect=None)), "identity", ("Statement", 0, "Effect")),
        (document(statement(Effect=["Allow"])), "identity", ("Statement", 0, "Effect")),
        (document(statement(Action=None)), "identity", ("Statement", 0, "Action")),
        (document(statement(NotAction="*")), "identity", ("Statement", 0, "Action")),
        (document(statement(Action=[])), "identity", ("Statement", 0, "Action")),
        (document(statement(Action="Invoke")), "identity", ("Statement", 0, "Action")),
        (document(statement(Action=["*", 1])), "identity", ("Statement", 0, "Action", 1)),
        (document(statement(Resource=None)), "identity", ("Statement", 0, "Resource")),
        (document(statement(Resource="/pets")), "identity", ("Statement", 0, "Resource")),
        (document(statement(Resource="arn:")), "identity", ("Statement", 0, "Resource")),
        (
            document(statement(Resource=["*", "execute-api:/*"])),
            "identity",
            ("Statement", 0, "Resource", 1),
        ),
        (
            document(statement(Resource=None, NotResource="arn:${aws:username}")),
            "identity",
            ("Statement", 0, "NotResource"),
        ),
        (document(statement(Principal="*")), "identity", ("Statement", 0, "Principal")),
        (document(statement()), "resource", ("Statement", 0, "Principal")),
        (
            document(statement(Principal="*", NotPrincipal="*")),
            "resource",
            ("Statement", 0, "Principal"),
        ),
        (document(statement(Principal="me")), "resource", ("Statement", 0, "Principal")),
        (document(statement(Principal={})), "resource", ("Statement", 0, "Principal")),
        (
            document(statement(Principal={"AWS": "arn:aws:iam::1:user/*"})),
            "resource",
            ("Statement", 0, "Principal", "AWS"),
        ),
        (
            document(statement(Principal={"Aws": "*"})),
            "resource",
            ("Statement", 0, "Principal", "Aws"),
        ),
        (document(statement(Condition=[])), "identity", ("Statement", 0, "Condition")),
        (
            document(statement(Condition={"IpAdress": {"aws:SourceIp": "192.0.2.1"}})),
            "identity",
            ("Statement", 0, "Condition", "IpAdress"),
        ),
        (
            document(statement(Condition={"IpAddress": []})),
            "identity",
            ("Statement", 0, "Condition", "IpAddress"),
        ),
        (
            document(statement(Condition={"IpAddress": {"SourceIp": "192.0.2.1"}})),
            "identity",
            ("Statement", 0, "Condition", "IpAddress", "SourceIp"),
        ),
        *(
            (
                document(statement(Condition={"IpAddress": {"aws:SourceIp": value}})),
                "identity",
                ("Statement", 0, "Condition", "IpAddress", "aws:SourceIp"),
            )
            for value in BAD_ADDRESSES
        ),
        (document(statement(Conditions={})), "identity", ("Statement", 0, "Conditions")),
    ],
)
def test_flaws(written: object, holder: Holder, steps: tuple[str | int, ...]) -> None:
    """A document that is not understood whole is none: a Deny could be lost."""
    parsed = parse(written, holder)
    assert parsed.document is None
    assert parsed.flaws[0].steps == steps
    assert parsed.flaws[0].message


def test_resources_of_an_answer_are_bounded() -> None:
    """AWS §6.1: 512 characters."""
    longest = ("arn:aws:execute-api:" + "x" * LONGEST_RESOURCE)[:LONGEST_RESOURCE]
    assert parse(document(statement(Resource=longest)), "identity", LONGEST_RESOURCE).document
    longer = parse(document(statement(Resource=longest + "x")), "identity", LONGEST_RESOURCE)
    assert longer.document is None
    assert parse(document(statement(Resource=longest + "x")), "identity").document


def test_a_document_of_a_megabyte() -> None:
    good = document(*(statement(Resource=f"{ARN}/{n}") for n in range(8_000)))
    text = json.dumps(good)
    assert len(text) > 1_000_000
    parsed = parse(text, "identity")
    assert parsed.document is not None
    assert len(parsed.document.statements) == 8_000
    bad = parse(text.replace('"Allow"', '"allow"'), "identity")
    assert bad.document is None
    assert len(bad.flaws) == 20


def test_short_forms_are_written_out() -> None:
    """AWS §3.21."""
    parsed = parse(
        document(
            statement(Principal="*", Resource=["execute-api:/*", "execute-api:/test/GET/a", ARN]),
            statement(Principal="*", Resource=None, NotResource="execute-api:/x"),
        ),
        "resource",
    )
    assert parsed.document is not None
    first, second = written_out(parsed.document, "arn:aws:execute-api:r:1:abc").statements
    assert first.resources == (
        "arn:aws:execute-api:r:1:abc/*",
        "arn:aws:execute-api:r:1:abc/test/GET/a",
        ARN,
    )
    assert second.not_resources == ("arn:aws:execute-api:r:1:abc/x",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=10,
)
NAMES = st.sampled_from(
    ["Version", "Statement", "Effect", "Action", "Resource", "Principal", "Condition", "AWS"]
)


@given(
    st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON) | st.lists(JSON)),
    st.sampled_from(["resource", "identity"]),
)
def test_nothing_raises(written: dict[str, Any], holder: Holder) -> None:
    parsed = parse(written, holder)
    assert (parsed.document is None) is bool(parsed.flaws)


def test_a_document_survives_the_wire() -> None:
    parsed = parse(document(statement()), "identity")
    raw = msgspec.json.encode(parsed.document)
    assert msgspec.json.decode(raw, type=PolicyDocument) == parsed.document
