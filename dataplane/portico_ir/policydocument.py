"""Policy documents as AWS writes them, JSON, into the contract's form, or what is wrong with them.

Called by the compiler (`RestApi.policy`, `IamUser.policy`) and by data planes (what an authorizer
returned). Promises: never raises for what a document holds; a document that has a flaw is no
document, so that a Deny nobody understood denies everything; every value is checked here, so that
whoever evaluates it need not doubt it (AWS §3.21, §6.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

import msgspec

from portico_ir.access import Condition, PolicyDocument, Statement
from portico_ir.operators import BASES, Operator, operator_of

Holder = Literal["resource", "identity"]
"""A resource's policy says whom it is about; an identity's own, or an authorizer's, never does."""

VERSIONS: Final = ("2012-10-17", "2008-10-17")
LONGEST_RESOURCE: Final = 512
"""AWS §6.1: characters of a Resource in what an authorizer returns."""

_MOST_FLAWS: Final = 20
_EFFECTS: Final = {"Allow": True, "Deny": False}
_PAIRS: Final = (("Action", "NotAction"), ("Resource", "NotResource"))
_ELEMENTS: Final = frozenset(
    ("Sid", "Effect", "Principal", "NotPrincipal", "Condition", *(n for p in _PAIRS for n in p))
)
_ACTION: Final = re.compile(r"\*|[A-Za-z0-9*?-]+:[A-Za-z0-9*?]+")
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_KEY: Final = re.compile(r"[A-Za-z0-9-]+:[!-~]+")
_SHORT: Final = "execute-api:/"
_PRINCIPAL_TYPES: Final = ("AWS", "Service", "Federated", "CanonicalUser")


class Flaw(NamedTuple):
    """Something that a policy document must not hold, or lacks."""

    steps: tuple[str | int, ...]
    """Where."""
    message: str
    """Why, and what to write instead."""


class Parsed(NamedTuple):
    """A document, or why it is none."""

    document: PolicyDocument | None
    """None when there are flaws."""
    flaws: tuple[Flaw, ...]
    """In the order of the document; the first twenty."""


def parse(written: object, holder: Holder, longest_resource: int | None = None) -> Parsed:
    """The policy in a JSON value, or in a text that holds JSON."""
    if isinstance(written, str | bytes):
        try:
            written = msgspec.json.decode(written)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as why:
            return Parsed(None, (Flaw((), f"is not JSON: {why}"),))
    reader = _Reader(holder, longest_resource)
    document = reader.document(written)
    return Parsed(None if reader.flaws else document, tuple(reader.flaws[:_MOST_FLAWS]))


def written_out(document: PolicyDocument, prefix: str) -> PolicyDocument:
    """`execute-api:/stage/METHOD/path` as whole ARNs (AWS §3.21); `prefix`: the ARN of the API."""

    def whole(patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            prefix + pattern.removeprefix("execute-api:") if pattern.startswith(_SHORT) else pattern
            for pattern in patterns
        )

    return PolicyDocument(
        statements=tuple(
            msgspec.structs.replace(
                statement,
                resources=whole(statement.resources),
                not_resources=whole(statement.not_resources),
            )
            for statement in document.statements
        )
    )


# --- the document -----------------------------------------------------------------------------


class _Reader:
    """One document on its way into the contract; remembers what is wrong with it."""

    def __init__(self, holder: Holder, longest_resource: int | None) -> None:
        self._holder = holder
        self._longest = longest_resource
        self._old = False
        """Version 2008-10-17, or none: `${…}` is text."""
        self.flaws: list[Flaw] = []

    def _flaw(self, steps: tuple[str | int, ...], message: str) -> None:
        self.flaws.append(Flaw(steps, message))

    def document(self, written: object) -> PolicyDocument:
        if not isinstance(written, Mapping):
            self._flaw((), "is an object with Version and Statement")
            return PolicyDocument(statements=())
        self._unknown(written, frozenset(("Version", "Id", "Statement")), ())
        version = written.get("Version", VERSIONS[1])
        if version not in VERSIONS:
            self._flaw(("Version",), f"is {VERSIONS[0]}")
        self._old = version != VERSIONS[0]
        statements = written.get("Statement")
        if isinstance(statements, Mapping):
            return PolicyDocument(statements=(self._statement(statements, ("Statement",)),))
        if not isinstance(statements, list | tuple) or not statements:
            self._flaw(("Statement",), "is required: a list of statements")
            return PolicyDocument(statements=())
        made: list[Statement] = []
        for position, statement in enumerate(statements):
            made.append(self._statement(statement, ("Statement", position)))
            if len(self.flaws) >= _MOST_FLAWS:
                break
        return PolicyDocument(statements=tuple(made))

    def _statement(self, written: object, steps: tuple[str | int, ...]) -> Statement:
        if not isinstance(written, Mapping):
            self._flaw(steps, "is an object with Effect, Action and Resource")
            return Statement(allow=False)
        self._unknown(written, _ELEMENTS, steps)
        effect = written.get("Effect")
        if not isinstance(effect, str) or effect not in _EFFECTS:
            self._flaw((*steps, "Effect"), "is Allow or Deny")
        actions, not_actions = self._pair(written, *_PAIRS[0], steps)
        resources, not_resources = self._pair(written, *_PAIRS[1], steps)
        principals, not_principals = self._about(written, steps)
        return Statement(
            allow=effect == "Allow",
            actions=actions,
            not_actions=not_actions,
            resources=resources,
            not_resources=not_resources,
            principals=principals,
            not_principals=not_principals,
            conditions=tuple(self._conditions(written.get("Condition"), (*steps, "Condition"))),
        )

    def _unknown(
        self, written: Mapping[Any, Any], known: frozenset[str], steps: tuple[str | int, ...]
    ) -> None:
        for name in written:
            if name not in known:
                # What it was meant to restrict cannot be told.
                self._flaw((*steps, str(name)[:64]), f"is none of {', '.join(sorted(known))}")

    # --- actions and resources --------------------------------------------------------------

    def _pair(
        self, written: Mapping[Any, Any], name: str, other: str, steps: tuple[str | int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """`Action` or `NotAction`; exactly one of them."""
        if (name in written) == (other in written):
            self._flaw((*steps, name), f"is required: exactly one of {name} and {other}")
            return (), ()
        given = name if name in written else other
        fault = self._action_fault if name == "Action" else self._resource_fault
        patterns = self._texts(written[given], (*steps, given), fault)
        if given != name and any("${" in pattern for pattern in patterns) and not self._old:
            # Where the request lacks the key, nobody could say what is not meant.
            self._flaw((*steps, given), "has no variables here")
        return (patterns, ()) if given == name else ((), patterns)

    def _texts(
        self, written: object, steps: tuple[str | int, ...], fault: Callable[[str], str]
    ) -> tuple[str, ...]:
        """One text or several."""
        single = isinstance(written, str)
        texts = [written] if single else written
        if not isinstance(texts, list | tuple) or not texts:
            self._flaw(steps, "is a text, or a list of texts")
            return ()
        found: list[str] = []
        for position, text in enumerate(texts):
            place = steps if single else (*steps, position)
            if not isinstance(text, str):
                self._flaw(place, "is a text")
            elif message := fault(text):
                self._flaw(place, message)
            else:
                found.append(self._plain(text))
        return tuple(found)

    def _plain(self, text: str) -> str:
        """Variables exist since version 2012-10-17; before, `${` is what it is."""
        return text.replace("${", "${$}{") if self._old and "${" in text else text

    def _action_fault(self, text: str) -> str:
        if _ACTION.fullmatch(text) is None:
            return f"{text[:64]!r} is no action such as execute-api:Invoke"
        return ""

    def _resource_fault(self, text: str) -> str:
        if self._longest is not None and len(text) > self._longest:
            return f"is longer than {self._longest} characters (AWS §6.1)"
        if text == "*" or (text.startswith("arn:") and len(text) > 4):
            return ""
        if self._holder == "resource" and text.startswith(_SHORT):
            return ""
        short = ", execute-api:/stage/METHOD/path" if self._holder == "resource" else ""
        return f"{text[:64]!r} is no ARN{short} or *"

    # --- principals -------------------------------------------------------------------------

    def _about(
        self, written: Mapping[Any, Any], steps: tuple[str | int, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        given = [name for name in ("Principal", "NotPrincipal") if name in written]
        if self._holder == "identity":
            for name in given:
                self._flaw((*steps, name), "does not belong here: the caller is the principal")
            return (), ()
        if len(given) != 1:
            message = "is required: exactly one of Principal and NotPrincipal"
            self._flaw((*steps, "Principal"), message)
            return (), ()
        found = self._principals(written[given[0]], (*steps, given[0]))
        return (found, ()) if given == ["Principal"] else ((), found)

    def _principals(self, written: object, steps: tuple[str | int, ...]) -> tuple[str, ...]:
        if written == "*":
            return ("*",)
        if not isinstance(written, Mapping) or not written:
            self._flaw(steps, 'is "*", or an object such as {"AWS": "arn:…"}')
            return ()
        found: list[str] = []
        for kind, texts in written.items():
            if kind not in _PRINCIPAL_TYPES:
                message = f"is none of {', '.join(_PRINCIPAL_TYPES)}"
                self._flaw((*steps, str(kind)[:64]), message)
                continue
            place = (*steps, kind)
            fault = self._principal_fault if kind == "AWS" else _empty
            for text in self._texts(texts, place, fault):
                found.append(_aws_principal(text) if kind == "AWS" else f"{kind}:{text}")
        return tuple(found)

    def _principal_fault(self, text: str) -> str:
        if text == "*" or _ACCOUNT.fullmatch(text):
            return ""
        if text.startswith("arn:") and text.count(":") >= 5:
            # AWS: "You cannot use a wildcard to match part of a principal name or ARN."
            return "" if "*" not in text and "?" not in text else "has no wildcards but * alone"
        return f"{text[:64]!r} is no ARN, account or *"

    # --- conditions -------------------------------------------------------------------------

    def _conditions(self, written: object, steps: tuple[str | int, ...]) -> Iterator[Condition]:
        if written is None:
            return
        if not isinstance(written, Mapping):
            self._flaw(steps, "is an object of operators")
            return
        for name, keys in written.items():
            operator = operator_of(name) if isinstance(name, str) else None
            place = (*steps, str(name)[:64])
            if operator is None:
                self._flaw(place, "is no condition operator")
            elif not isinstance(keys, Mapping) or not keys:
                self._flaw(place, "is an object of condition keys")
            else:
                for key, values in keys.items():
                    yield from self._condition(name, operator, key, values, (*place, str(key)[:64]))

    def _condition(
        self,
        name: str,
        operator: Operator,
        key: object,
        written: object,
        steps: tuple[str | int, ...],
    ) -> Iterator[Condition]:
        if not isinstance(key, str) or _KEY.fullmatch(key) is None:
            self._flaw(steps, "is no condition key such as aws:SourceIp")
            return
        given = list(written) if isinstance(written, list | tuple) else [written]
        values = [_as_text(value) for value in given]
        if not values or None in values:
            self._flaw(steps, "has a value, or a list of values: texts, numbers, true or false")
            return
        fits, wanted = BASES[operator.base]
        texts = [self._plain(value) for value in values if value is not None]
        for text in texts:
            if "${" not in text and not fits(text):
                self._flaw(steps, f"{text[:64]!r} is not {wanted}")
                return
        yield Condition(operator=name, key=key, values=tuple(texts))


def _empty(text: str) -> str:
    return "" if text else "is empty"


def _aws_principal(text: str) -> str:
    """An account stands for everybody in it (IAM, `Principal`)."""
    return f"arn:aws:iam::{text}:root" if _ACCOUNT.fullmatch(text) else text


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
