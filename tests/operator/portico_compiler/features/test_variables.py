"""`${stageVariables.x}` and `{name}` are resolved, or break their route."""

from __future__ import annotations

import pytest

import scopes
from portico_compiler.features import variables
from portico_compiler.problems import Reason
from portico_ir.model import Broken

KNOWN = {"host": "x.example:80", "path": "a/b?c=d"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://x/", "http://x/"),
        ("http://${stageVariables.host}/${stageVariables.path}", "http://x.example:80/a/b?c=d"),
        ("/v1/{id}?q={id}&h=${stageVariables.host}", "/v1/{id}?q={id}&h=x.example:80"),
        ("${stageVariables.host}${stageVariables.host}", "x.example:80x.example:80"),
        ("$host $ $$", "$host $ $$"),
    ],
)
def test_resolved(text: str, expected: str) -> None:
    scope = scopes.scope(variables=KNOWN)
    assert variables.resolve(text, "spec.x", ("id",), scope) == expected
    assert scope.problems == []
    assert scope.uses_variables is ("${" in text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${stageVariables.port}", "'port' is not set in stage 'prod'"),
        ("${stageVariables.}", "'' is not set"),
        ("${host}", "${host} is not known here"),
        ("${}", "${} is not known here"),
        ("/{other}", "nothing fills {other}"),
        ("/{}", "nothing fills {}"),
        ("/{proxy+}", "nothing fills {proxy+}"),
        ("/{id", "brace"),
        ("/id}", "brace"),
        ("/{a{id}}", "brace"),
    ],
)
def test_unresolved(text: str, says: str) -> None:
    scope = scopes.scope(variables=KNOWN)
    found = variables.resolve(text, "spec.x", ("id",), scope)
    assert isinstance(found, Broken)
    (problem,) = scope.problems
    assert problem.reason is Reason.UNRESOLVED_VARIABLE
    assert problem.field == "spec.x"
    assert says in problem.message


def test_every_fault_is_named() -> None:
    scope = scopes.scope(variables={})
    variables.resolve("${stageVariables.a}/{b}/${stageVariables.c}", "f", (), scope)
    assert scope.problems[0].message.count(";") == 2


def test_without_a_stage_nothing_is_missing() -> None:
    scope = scopes.scope(variables=None)
    assert variables.resolve("http://${stageVariables.a}/", "f", (), scope) == "http://0/"


def test_names_are_taken_out_for_checking() -> None:
    assert variables.without_names("/a/{id}/{x}?y={z}") == "/a/x/x?y=x"
