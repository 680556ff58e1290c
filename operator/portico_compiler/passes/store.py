"""Pass 9: where a class's data plane settles its leases (design.md §7).

Called by `compiler.compile` for each data plane. Promises: a class that says nothing needs no unit;
a password that cannot be had is a Problem of the class, and its data plane goes on as when the
store is away.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from portico_compiler.inventory import Inventory
from portico_compiler.manifests import classes
from portico_compiler.manifests.shapes import PlacedSecretKeyRef
from portico_compiler.passes.gateway import ClassGround
from portico_compiler.passes.secrets import LINE_BREAK, contents, ends_in_line_break
from portico_compiler.passes.variants import Encoded
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_ir import codec
from portico_ir.model import RedisStore, StoreUnit
from portico_ir.secrets import Redacted

STORE = "store"
PASSWORD = "password"
"""Entry of the Secret where the reference names none."""
_FIELD = "spec.store.redis.secretRef"


class Stores(NamedTuple):
    """By class, and what is wrong."""

    units: dict[str, Encoded]
    """Name of the PorticoClass to its unit."""
    problems: tuple[Problem, ...]
    """About passwords."""


def stores(inventory: Inventory, *, secrets: bool) -> Stores:
    """What every PorticoClass says; without `secrets` nothing that is one."""
    problems: list[Problem] = []
    units: dict[str, Encoded] = {}
    for document in inventory.of_kind("PorticoClass"):
        if not isinstance(document.content, classes.PorticoClass) or not document.valid:
            continue
        store = document.content.spec.store
        if store is None:
            continue
        redis = None
        if store.redis is not None:
            found = _password(document.ref, store.redis.secret_ref, inventory, problems)
            password = found if secrets else None
            redis = RedisStore(url=Redacted(store.redis.url), password=password)
        unit = StoreUnit(name=document.ref.name, redis=redis, keep=store.failure_mode == "Keep")
        data = codec.encode(unit)
        units[document.ref.name] = Encoded(msgspec.Raw(data), codec.digest(data))
    return Stores(units, tuple(problems))


def store_unit(found: Stores, base: ClassGround) -> dict[str, Encoded]:
    """Unit id to unit, for the data plane that stands on `base`."""
    unit = found.units.get(base.name)
    return {} if unit is None else {STORE: unit}


def _password(
    referrer: ObjectRef,
    reference: PlacedSecretKeyRef | None,
    inventory: Inventory,
    problems: list[Problem],
) -> Redacted | None:
    if reference is None:
        return None
    namespace, entry = reference.namespace, reference.key or PASSWORD
    secret = inventory.secret(namespace, reference.name)
    if secret is None:
        message = f"there is no Secret {namespace}/{reference.name}"
        problems.append(Problem(referrer, _FIELD, Reason.REF_NOT_FOUND, message))
        return None
    found = contents(secret)
    value = found.get(entry)
    fault = ""
    if entry not in found:
        fault = f"has no entry {entry}"
    elif value is None:
        fault = f"entry {entry} is not base64"
    elif ends_in_line_break(value):
        fault = f"entry {entry} {LINE_BREAK}"
    if fault or value is None:
        message = f"{secret.ref}: {fault}"
        problems.append(Problem(referrer, _FIELD, Reason.INVALID_VALUE, message))
        return None
    return Redacted(value.decode("utf-8", "surrogateescape"))
