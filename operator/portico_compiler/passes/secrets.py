"""Secrets, for the passes that make credentials of what is in them.

Called by the passes of API keys, of signers and of certificates. Promises: contents leave this
module only towards whoever hashes, derives from or reads them as PEM; what cannot be found, or must
not be used, is a Problem.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from portico_compiler.inventory import Document, Inventory
from portico_compiler.manifests import core
from portico_compiler.manifests.shapes import Ref, SecretKeyRef
from portico_compiler.passes.accept import referred
from portico_compiler.problems import ObjectRef, Problem, Reason
from portico_ir.secrets import Redacted


def secret_of(
    referrer: ObjectRef,
    reference: SecretKeyRef | Ref,
    field: str,
    inventory: Inventory,
    problems: list[Problem],
    missing: str = "",
) -> Document | None:
    """The Secret that an object names, if it may; `missing`: what to say beside that it is not."""
    wanted = referred(referrer, "Secret", reference.namespace, reference.name)
    if not inventory.permits(referrer, "", wanted):
        message = f"no ReferenceGrant in {wanted.namespace} allows a reference to {wanted}"
        problems.append(Problem(referrer, field, Reason.REF_NOT_PERMITTED, message))
        return None
    found = inventory.secret(wanted.namespace, wanted.name)
    if found is None:
        message = f"there is no {wanted}{missing}"
        problems.append(Problem(referrer, field, Reason.REF_NOT_FOUND, message))
    return found


def contents(document: Document) -> Mapping[str, bytes | None]:
    """Entry to value; None for one that is not base64."""
    secret = document.content
    found: dict[str, bytes | None] = {}
    if not isinstance(secret, core.Secret):
        return found
    for entry, value in secret.data.items() if isinstance(secret.data, dict) else ():
        try:
            found[entry] = base64.b64decode(_revealed(value), validate=True)
        except (binascii.Error, ValueError):
            found[entry] = None
    # As the API server: stringData wins, and becomes data.
    for entry, value in secret.string_data.items() if isinstance(secret.string_data, dict) else ():
        found[entry] = _revealed(value).encode("utf-8", "surrogatepass")
    return found


def _revealed(value: Any) -> str:
    if isinstance(value, Redacted):
        return value.reveal()
    return value if isinstance(value, str) else ""


LINE_BREAK = (
    "ends in a line break; write it without "
    "(kubectl create secret --from-literal, printf instead of echo)"
)
"""What `echo` does to a secret, and the way out."""


def ends_in_line_break(value: bytes) -> bool:
    """Whether somebody wrote it with `echo`."""
    return value.endswith((b"\n", b"\r"))
