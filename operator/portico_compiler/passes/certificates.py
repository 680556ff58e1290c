"""Certificates and truststores that objects name: from Secrets and ConfigMaps to PEM.

Called by the passes of domain units and of TLS to backends; memoised by version of what holds them.
Promises: a certificate and its key fit, and OpenSSL takes them; what the other side will not like
of it (its time, its names) is told and served all the same, as nginx and AWS do; a truststore holds
certificates and nothing else.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import core
from portico_compiler.manifests.shapes import Ref
from portico_compiler.memo import Memo, Shelf
from portico_compiler.passes import pem
from portico_compiler.passes.accept import referred
from portico_compiler.passes.secrets import contents, secret_of
from portico_compiler.problems import ObjectRef, Problem, Reason, Severity
from portico_ir.domains import Certificate, MutualTls

T = TypeVar("T")

CHAIN, KEY = "tls.crt", "tls.key"
"""Entries of a kubernetes.io/tls Secret."""
TRUSTSTORES = ("ca.crt", "truststore.pem")
"""Entries that hold authorities; the first that is there counts."""
CERTIFICATE_FIELD = "spec.certificateRef"
TRUSTSTORE_FIELD = "spec.mutualTlsAuthentication.truststoreRef"


class Unusable(NamedTuple):
    """There is no certificate or truststore to be had."""

    why: str
    """In a few words; a Problem says more."""


class Reader(NamedTuple):
    """Who reads, on behalf of which field."""

    referrer: ObjectRef
    """The object."""
    field: str
    """Its field."""
    inventory: Inventory
    """What there is."""
    problems: list[Problem]
    """Where faults go."""
    memo: Memo
    """What was read before,"""
    shelf: str
    """and where that is."""


class _Known(NamedTuple, Generic[T]):
    holder: Document
    made: T


def certificate_of(
    reader: Reader, reference: Ref, hosts: Iterable[str], today: str
) -> Certificate | Unusable:
    """What is shown; `today` is `YYYYMMDD`, or empty where no day is known."""
    referrer, field, problems = reader.referrer, reader.field, reader.problems
    secret = secret_of(referrer, reference, field, reader.inventory, problems)
    if secret is None:
        return Unusable("its certificate is not there")
    pair: pem.Pair | str = _remembered(reader.memo.shelf(reader.shelf), secret, _pair)
    if isinstance(pair, str):
        message = f"{secret.ref}: {pair}"
        problems.append(Problem(referrer, field, Reason.CERTIFICATE_INVALID, message))
        return Unusable("its certificate cannot be used")
    _warn(reader, secret.ref, pair, tuple(hosts), today)
    return pair.certificate


def truststore_of(reader: Reader, reference: Ref) -> MutualTls | Unusable:
    """Whom the other side must be vouched for by."""
    referrer, field, problems = reader.referrer, reader.field, reader.problems
    holder = _holder(reader, reference)
    if holder is None:
        return Unusable("its truststore is not there")
    shelf = reader.memo.shelf(reader.shelf)
    found: pem.Authorities | str = _remembered(shelf, holder, _authorities)
    if isinstance(found, str):
        message = f"{holder.ref}: {found}"
        problems.append(Problem(referrer, field, Reason.CERTIFICATE_INVALID, message))
        return Unusable("its truststore cannot be used")
    for fault in found.ignored:
        message = f"{holder.ref}: {fault}; it vouches for nobody"
        reason = Reason.AUTHORITY_IGNORED
        problems.append(Problem(referrer, field, reason, message, Severity.WARNING))
    return MutualTls(authorities=found.text)


def _remembered(
    shelf: Shelf[ObjectRef, _Known[T]], holder: Document, read: Callable[[Document], T]
) -> T:
    """What is read of a holder, read again when it is another."""
    known = shelf.get(holder.ref)
    if known is None or known.holder is not holder:
        known = _Known(holder, read(holder))
    return shelf.keep(holder.ref, known).made


def _pair(secret: Document) -> pem.Pair | str:
    entries = contents(secret)
    missing = [entry for entry in (CHAIN, KEY) if entry not in entries]
    if missing:
        how = "kubectl create secret tls makes such a Secret"
        return f"has no entry {' and none '.join(missing)}; {how}"
    chain, key = entries[CHAIN], entries[KEY]
    if chain is None or key is None:
        return f"entry {CHAIN if chain is None else KEY} is not base64"
    return pem.pair(chain, key)


def _holder(reader: Reader, reference: Ref) -> Document | None:
    """The Secret of that name, or else the ConfigMap."""
    referrer, field, inventory, problems = reader[:4]
    places = [
        referred(referrer, kind, reference.namespace, reference.name)
        for kind in ("Secret", "ConfigMap")
    ]
    allowed = [place for place in places if inventory.permits(referrer, "", place)]
    name = f"{places[0].namespace}/{places[0].name}"
    if not allowed:
        message = (
            f"no ReferenceGrant in {places[0].namespace} allows a reference to a Secret or "
            f"ConfigMap {name}"
        )
        problems.append(Problem(referrer, field, Reason.REF_NOT_PERMITTED, message))
        return None
    for place in allowed:
        find = inventory.secret if place.kind == "Secret" else inventory.config_map
        found = find(place.namespace, place.name)
        if found is not None:
            return found
    kinds = " and no ".join(place.kind for place in allowed)
    message = f"there is no {kinds} {name}"
    problems.append(Problem(referrer, field, Reason.REF_NOT_FOUND, message))
    return None


def _authorities(holder: Document) -> pem.Authorities | str:
    entries: Mapping[str, bytes | None]
    if isinstance(holder.content, core.ConfigMap):
        entries = {name: text.encode() for name, text in holder.content.data.items()}
    else:
        entries = contents(holder)
    for entry in TRUSTSTORES:
        if entry in entries:
            text = entries[entry]
            return f"entry {entry} is not base64" if text is None else pem.authorities(text)
    return f"has no entry {' or '.join(TRUSTSTORES)}"


def _warn(
    reader: Reader, secret: ObjectRef, pair: pem.Pair, hosts: tuple[str, ...], today: str
) -> None:
    def warn(reason: Reason, text: str) -> None:
        message = f"{secret}: {text}"
        problem = Problem(reader.referrer, reader.field, reason, message, Severity.WARNING)
        reader.problems.append(problem)

    if today:
        year, month, date = int(today[:4]), int(today[4:6]), int(today[6:])
        day = datetime.datetime(year, month, date, tzinfo=datetime.UTC)
        if pair.ends <= day:
            warn(Reason.CERTIFICATE_EXPIRED, f"the certificate expired on {pair.ends:%Y-%m-%d}")
        elif pair.begins >= day + datetime.timedelta(days=1):
            text = f"the certificate is good from {pair.begins:%Y-%m-%d} on"
            warn(Reason.CERTIFICATE_NOT_YET_VALID, text)
    bare = [host for host in hosts if not any(pem.covers(name, host) for name in pair.names)]
    if bare:
        names = ", ".join(pair.names[:5]) or "no host"
        more = f" and {len(pair.names) - 5} more" if len(pair.names) > 5 else ""
        text = f"the certificate is for {names}{more}, not for {', '.join(bare)}"
        warn(Reason.HOST_NOT_COVERED, text)
