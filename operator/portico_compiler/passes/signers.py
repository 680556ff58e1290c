"""Pass 9: IamUsers to what verifies the signatures of their access keys (AWS §6.3).

Called by `compiler.compile` for each data plane. Promises: no secret access key leaves this
module, only the keys derived from it for a few days around `Settings.today`; a user whose policy
cannot be read may call nothing; of two users with one access key the elder counts.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Collection, Iterator
from typing import NamedTuple

import msgspec

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import access as manifests
from portico_compiler.manifests.kinds import GROUP
from portico_compiler.memo import Memo
from portico_compiler.passes.apis import ApiPlan, identity
from portico_compiler.passes.secrets import LINE_BREAK, contents, ends_in_line_break, secret_of
from portico_compiler.passes.shards import Encoded
from portico_compiler.problems import ObjectRef, Problem, Reason, field_path
from portico_ir import codec, policydocument
from portico_ir.access import PolicyDocument, Signer
from portico_ir.model import GatewayUnit, SignersUnit
from portico_ir.secrets import Redacted

SIGNERS = "signers"
ID, SECRET = "accessKeyId", "secretAccessKey"
"""Entries of the Secret of an access key, as AWS prints them."""
_DAYS_BEFORE, _DAYS_AFTER = 1, 8
"""A pod that nobody tells anything goes on for a week (design.md §7)."""
_ID = re.compile(rb"\w{16,128}\Z")
_SERVICE = "execute-api"


class _User(NamedTuple):
    """A user with access keys that may sign."""

    document: Document
    policy: PolicyDocument | None
    keys: tuple[tuple[str, Document, str], ...]
    """Access key id, its Secret, and where the user names it."""


class Users(NamedTuple):
    """Every IamUser, and what is wrong with them."""

    users: tuple[_User, ...]
    """Elders first."""
    problems: tuple[Problem, ...]
    """About references, policies, values."""


def users_of(inventory: Inventory) -> Users:
    """Every IamUser of the World."""
    problems: list[Problem] = []
    found: list[_User] = []
    owners: dict[str, ObjectRef] = {}
    for document in sorted(inventory.of_kind("IamUser"), key=lambda document: document.age):
        if not isinstance(document.content, manifests.IamUser):
            continue
        policy = _policy(document, problems)
        keys = tuple(_keys(document, inventory, owners, problems))
        if document.valid and keys and not isinstance(policy, str):
            found.append(_User(document, policy, keys))
    return Users(tuple(found), tuple(problems))


def _policy(document: Document, problems: list[Problem]) -> PolicyDocument | str | None:
    written = document.content.spec.policy
    if written is None:
        return None
    parsed = policydocument.parse(written, "identity")
    problems += [
        Problem(document.ref, field_path("spec", "policy", *steps), Reason.INVALID_VALUE, message)
        for steps, message in parsed.flaws
    ]
    return parsed.document if parsed.document is not None else "unreadable"


def _keys(
    document: Document,
    inventory: Inventory,
    owners: dict[str, ObjectRef],
    problems: list[Problem],
) -> Iterator[tuple[str, Document, str]]:
    ref = document.ref
    for position, key in enumerate(document.content.spec.access_keys):
        field = field_path("spec", "accessKeys", position, "secretRef")
        if key.secret_ref.key is not None:
            message = f"an access key has two entries, {ID} and {SECRET}: name the Secret alone"
            problems.append(Problem(ref, f"{field}.key", Reason.INVALID_COMBINATION, message))
            continue
        secret = secret_of(ref, key.secret_ref, field, inventory, problems)
        if secret is None:
            continue
        fault = _fault(secret)
        if fault:
            problems.append(Problem(ref, field, Reason.INVALID_VALUE, f"{secret.ref}: {fault}"))
            continue
        name = (contents(secret)[ID] or b"").decode("ascii")
        owner = owners.setdefault(name, ref)
        if owner != ref:
            message = f"access key {name} is that of {owner}, which is older and counts"
            problems.append(Problem(ref, field, Reason.CONFLICTED, message))
            continue
        yield name, secret, field


def _fault(secret: Document) -> str:
    """What is wrong with an access key, without a word of it."""
    found = contents(secret)
    for entry in (ID, SECRET):
        value = found.get(entry)
        if entry not in found:
            return f"there is no entry {entry}"
        if value is None:
            return f"entry {entry} is not base64"
        if ends_in_line_break(value):
            return f"entry {entry} {LINE_BREAK}"
    if not _ID.match(found[ID] or b""):
        return f"entry {ID} is not 16 to 128 letters and digits"
    return "" if found[SECRET] else f"entry {SECRET} is empty"


# --- units ------------------------------------------------------------------------------------


class _Known(NamedTuple):
    inputs: tuple[object, ...]
    units: dict[str, Encoded]


def signer_units(
    users: Users,
    apis: Collection[ApiPlan],
    inventory: Inventory,
    gateway: GatewayUnit,
    today: str,
    data_plane: str,
    memo: Memo,
) -> dict[str, Encoded]:
    """Unit id to unit, for the data plane that serves `apis`; `today`: `YYYYMMDD` in UTC."""
    shelf = memo.shelf("signers")
    granted = {user.document.ref: _granted(user, apis, inventory) for user in users.users}
    inputs = (
        tuple((user.document, user.keys) for user in users.users),
        tuple(granted.items()),
        gateway.account_id,
        gateway.region,
        today,
    )
    known: _Known | None = shelf.get(data_plane)
    if known is None or known.inputs != inputs:
        signers = {
            name: _signer(user, secret, granted[user.document.ref], gateway, today)
            for user in users.users
            for name, secret, _ in user.keys
        }
        known = _Known(inputs, _encoded(signers))
    shelf.keep(data_plane, known)
    return known.units


def _encoded(signers: dict[str, Signer]) -> dict[str, Encoded]:
    if not signers:
        return {}
    data = codec.encode(SignersUnit(signers=signers))
    return {SIGNERS: Encoded(msgspec.Raw(data), codec.digest(data))}


def _granted(user: _User, apis: Collection[ApiPlan], inventory: Inventory) -> tuple[str, ...]:
    """uids of APIs of other namespaces that treat the user as their own."""
    ref = user.document.ref
    return tuple(
        sorted(
            plan.document.object.uid
            for plan in apis
            if plan.document.ref.namespace != ref.namespace
            and inventory.permits(ref, GROUP, plan.document.ref)
        )
    )


def _signer(
    user: _User, secret: Document, granted: tuple[str, ...], gateway: GatewayUnit, today: str
) -> Signer:
    ref = user.document.ref
    text = (contents(secret)[SECRET] or b"").decode("utf-8", "surrogateescape")
    name = "/".join((ref.namespace, ref.kind, ref.name))
    return Signer(
        user=f"arn:aws:iam::{gateway.account_id}:user/{ref.namespace}/{ref.name}",
        user_id="AIDA" + (identity(name) + identity(f"{name}/id"))[:17].upper(),
        namespace=ref.namespace,
        apis=granted,
        keys={
            day: Redacted(derived(text, day, gateway.region).hex()) for day in days_around(today)
        },
        policy=user.policy,
    )


def days_around(today: str) -> list[str]:
    """`YYYYMMDD` of the days for which signatures verify; none when no day is known."""
    if not today:
        return []
    day = datetime.datetime.strptime(today, "%Y%m%d")  # noqa: DTZ007 - a day, not a time
    return [
        (day + datetime.timedelta(days=offset)).strftime("%Y%m%d")
        for offset in range(-_DAYS_BEFORE, _DAYS_AFTER)
    ]


def derived(secret: str, date: str, region: str) -> bytes:
    """The signing key of one day and region (AWS: "Create a signing key")."""
    key = b"AWS4" + secret.encode("utf-8", "surrogateescape")
    for part in (date, region, _SERVICE, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
