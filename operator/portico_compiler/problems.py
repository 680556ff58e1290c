"""Problems as values: what is wrong with whose field, in words a kubectl user reads.

Made by every pass of the compiler (and by whoever reads files), shown by the command line,
turned into conditions by `conditions.py`. Never raised. `Reason` is closed: each member
occurs in a golden case, and each belongs to exactly one condition type.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class ObjectRef(NamedTuple):
    """Which object; compares and hashes by value."""

    kind: str
    """E.g. `Route`; empty when a document does not say."""
    namespace: str
    """Empty for cluster-scoped kinds."""
    name: str
    """metadata.name; empty when a document does not say."""

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace and self.name else self.name
        return f"{self.kind or 'document'} {where}".rstrip()


class Source(NamedTuple):
    """Where an object was read."""

    file: str
    """Path as the user gave it."""
    index: int = 0  # type: ignore[assignment]  # nobody looks for a value in it
    """Number of the document in the file, from 0."""
    line: int | None = None
    """First line of the document, from 1, when known."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else f"{self.file}[{self.index}]"


class Severity(enum.StrEnum):
    """Whether something does not work, or works without a part that was asked for."""

    ERROR = "error"
    WARNING = "warning"


class ConditionType(enum.StrEnum):
    """Condition types that compiling decides; `Programmed` belongs to whoever delivers."""

    ACCEPTED = "Accepted"
    RESOLVED_REFS = "ResolvedRefs"
    IMPLEMENTED = "Implemented"
    CERTIFICATE_VALID = "CertificateValid"


_ONLY_WHEN_FALSE = frozenset({ConditionType.IMPLEMENTED, ConditionType.CERTIFICATE_VALID})


def is_shown_when_true(condition: ConditionType) -> bool:
    """Whether an object says that all is well, or says nothing of it."""
    return condition not in _ONLY_WHEN_FALSE


class Reason(enum.StrEnum):
    """Closed list of what can be wrong; the values are the `reason` of conditions."""

    # The document is not one of our objects.
    MALFORMED_DOCUMENT = "MalformedDocument"
    UNKNOWN_KIND = "UnknownKind"
    DUPLICATE_OBJECT = "DuplicateObject"
    # The object by itself.
    INVALID_NAME = "InvalidName"
    UNKNOWN_FIELD = "UnknownField"
    MISSING_FIELD = "MissingField"
    INVALID_VALUE = "InvalidValue"
    INVALID_COMBINATION = "InvalidCombination"
    INVALID_ADDRESS = "InvalidAddress"
    INVALID_MAPPING = "InvalidMapping"
    UNRESOLVED_VARIABLE = "UnresolvedVariable"
    NOT_IMPLEMENTED = "NotImplemented"
    # The object among others.
    CONFLICTED = "Conflicted"
    HOST_CONFLICT = "HostConflict"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    CAPTURING = "Capturing"
    # What it names.
    REF_NOT_FOUND = "RefNotFound"
    REF_NOT_PERMITTED = "RefNotPermitted"
    REF_NOT_ACCEPTED = "RefNotAccepted"
    SERVICE_NOT_FOUND = "ServiceNotFound"
    PORT_NOT_FOUND = "PortNotFound"
    UNSUPPORTED_SERVICE = "UnsupportedService"
    FUNCTION_UNRESOLVED = "FunctionUnresolved"
    DEPLOYMENT_DELETED = "DeploymentDeleted"
    ANOTHER_API = "AnotherApi"
    REVISION_BROKEN = "RevisionBroken"
    CERTIFICATE_INVALID = "CertificateInvalid"
    # Works, without a part that was asked for.
    FIELDS_IGNORED = "FieldsIgnored"
    # Is served, and clients will refuse it.
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_NOT_YET_VALID = "CertificateNotYetValid"
    HOST_NOT_COVERED = "HostNotCovered"
    AUTHORITY_IGNORED = "AuthorityIgnored"

    @property
    def condition(self) -> ConditionType:
        """The condition that a problem with this reason turns False."""
        if self in _ABOUT_REFERENCES:
            return ConditionType.RESOLVED_REFS
        if self is Reason.FIELDS_IGNORED:
            return ConditionType.IMPLEMENTED
        if self in _ABOUT_CERTIFICATES:
            return ConditionType.CERTIFICATE_VALID
        return ConditionType.ACCEPTED


_ABOUT_REFERENCES = frozenset(
    {
        Reason.REF_NOT_FOUND,
        Reason.REF_NOT_PERMITTED,
        Reason.REF_NOT_ACCEPTED,
        Reason.SERVICE_NOT_FOUND,
        Reason.PORT_NOT_FOUND,
        Reason.UNSUPPORTED_SERVICE,
        Reason.FUNCTION_UNRESOLVED,
        Reason.DEPLOYMENT_DELETED,
        Reason.ANOTHER_API,
        Reason.REVISION_BROKEN,
        Reason.CERTIFICATE_INVALID,
    }
)
_ABOUT_CERTIFICATES = frozenset(
    {
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NOT_YET_VALID,
        Reason.HOST_NOT_COVERED,
        Reason.AUTHORITY_IGNORED,
    }
)


class Problem(NamedTuple):
    """One thing that is wrong, and where."""

    object: ObjectRef
    """Whose fault it is."""
    field: str
    """Path of the field (`spec.integration.timeout`); empty for the object as a whole."""
    reason: Reason
    """Machine-readable, closed."""
    message: str
    """One sentence for a person; names the values that matter."""
    severity: Severity = Severity.ERROR
    """Warnings leave the exit code alone."""
    source: Source | None = None
    """File and document, when the object came from one."""

    def __str__(self) -> str:
        where = f"{self.source}: " if self.source else ""
        field = f" {self.field}:" if self.field else ""
        return f"{where}{self.object}:{field} {self.reason}: {self.message}"


def field_path(*steps: str | int) -> str:
    """Steps as kubectl writes them: `spec.responses[4\\d{2}].statusCode`, `items[3]`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step.replace("_", "").replace("-", "").isalnum():
            text += f".{step}" if text else step
        else:
            text += f"[{step}]"
    return text
