"""What a policy document says about a request: allow, deny, or nothing (AWS §3.21, §6.1).

Prepared once for each document, asked for each request: by the resource policy, by what an
authorizer's answer is held against, by the policy of a user who signs. Promises: an explicit Deny
wins whatever the order; what a statement does not name it says nothing about; the answer takes
time linear in the document.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from portico_dataplane.core.conditions import Check, Facts, check_of, filled_in
from portico_dataplane.core.wildcards import Matcher, matcher, shield
from portico_ir.access import PolicyDocument, Statement

Judgement = Literal["", "allow", "deny"]
"""Empty: the policy is silent, which is a refusal unless somebody else allows."""

INVOKE: Final = "execute-api:Invoke"
ANONYMOUS: Final[tuple[str, ...]] = ()
"""Who has not said who they are: `*` alone means them."""


def no_facts(_: str) -> tuple[str, ...]:
    """A request of which nothing is known."""
    return ()


class Policy:
    """A policy document, ready."""

    __slots__ = ("_allows", "_denies", "unconditional")

    def __init__(self, document: PolicyDocument) -> None:
        prepared = [(_Prepared(statement), statement) for statement in document.statements]
        self._denies = tuple(p for p, statement in prepared if not statement.allow)
        self._allows = tuple(p for p, statement in prepared if statement.allow)
        self.unconditional = all(p.unconditional for p, _ in prepared)
        """The answer depends on action, resource and principal alone."""

    def judge(
        self,
        resource: str,
        facts: Facts = no_facts,
        principals: tuple[str, ...] = ANONYMOUS,
        action: str = INVOKE,
    ) -> Judgement:
        """About `action` on `resource` by somebody who is all of `principals`.

        `facts` knows the condition keys (lower case) of the request.
        """
        for statement in self._denies:
            if statement.applies(action, resource, principals, facts):
                return "deny"
        for statement in self._allows:
            if statement.applies(action, resource, principals, facts):
                return "allow"
        return ""


class _Prepared:
    """One statement."""

    __slots__ = ("_action", "_checks", "_principal", "_resource", "unconditional")

    def __init__(self, statement: Statement) -> None:
        self._action = _either(statement.actions, statement.not_actions, _action)
        self._resource = _either(statement.resources, statement.not_resources, _resource)
        self._principal = _who(statement)
        # What nobody can read refuses: it limits an Allow to nothing, and a Deny not at all.
        self._checks: tuple[Check, ...] = tuple(
            check_of(one, unreadable=not statement.allow) for one in statement.conditions
        )
        patterns = (*statement.resources, *statement.not_resources)
        self.unconditional = not self._checks and not any("${" in text for text in patterns)

    def applies(
        self, action: str, resource: str, principals: tuple[str, ...], facts: Facts
    ) -> bool:
        """Whether the statement is about this."""
        if not (self._action(action, facts) and self._resource(resource, facts)):
            return False
        who = self._principal
        if who is not None and not who(principals):
            return False
        return all(check(facts) for check in self._checks)


_About = Callable[[str, Facts], bool]


def _either(
    wanted: tuple[str, ...], unwanted: tuple[str, ...], prepare: Callable[[str], _About]
) -> _About:
    """`Action` or `NotAction`, `Resource` or `NotResource`."""
    if wanted:
        return _any(tuple(prepare(pattern) for pattern in wanted))
    none_of = _any(tuple(prepare(pattern) for pattern in unwanted))
    # A statement with neither never gets here (portico_ir.policydocument); it would name nothing.
    return (lambda text, facts: not none_of(text, facts)) if unwanted else none_of


def _any(patterns: tuple[_About, ...]) -> _About:
    if len(patterns) == 1:
        return patterns[0]
    return lambda text, facts: any(matches(text, facts) for matches in patterns)


def _action(pattern: str) -> _About:
    """Actions are compared without case (IAM, `Action`)."""
    matches = matcher(pattern, ignore_case=True)
    return lambda text, _: matches(text)


def _resource(pattern: str) -> _About:
    """Resources are compared with case (AWS §6.1)."""
    if "${" in pattern:
        return lambda text, facts: _filled(pattern, facts)(shield(text))
    matches = matcher(pattern)
    return lambda text, _: matches(text)


def _filled(pattern: str, facts: Facts) -> Matcher:
    filled = filled_in(pattern, facts)
    return _nothing if filled is None else matcher(filled)


def _nothing(_: str) -> bool:
    return False


def _who(statement: Statement) -> Callable[[tuple[str, ...]], bool] | None:
    """`Principal` or `NotPrincipal`; None where the holder is the principal."""
    wanted, unwanted = frozenset(statement.principals), frozenset(statement.not_principals)
    if "*" in wanted or not (wanted or unwanted):
        return None
    if wanted:
        return lambda principals: not wanted.isdisjoint(principals)
    return lambda principals: "*" not in unwanted and unwanted.isdisjoint(principals)
