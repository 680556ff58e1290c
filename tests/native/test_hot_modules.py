"""The list of hot modules stays true, and they keep to what mypyc compiles as Python means it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from hot_modules import HOT, NEAR
from native_build import CHECKOUT

NEAR_PACKAGES = ("portico_dataplane.core", "portico_dataplane.http")


def path_of(module: str) -> Path:
    return CHECKOUT.sources / (module.replace(".", "/") + ".py")


def members(annotation: ast.expr) -> int:
    """How many types a union joins."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return members(annotation.left) + members(annotation.right)
    return 1


def test_the_list_names_what_there_is_once() -> None:
    assert [name for name in [*HOT, *NEAR] if not path_of(name).is_file()] == []
    assert sorted(set(HOT)) == list(HOT)
    assert not NEAR.keys() & set(HOT)


def test_a_new_module_beside_hot_ones_is_decided_on() -> None:
    found = {
        f"{package}.{path.stem}"
        for package in NEAR_PACKAGES
        for path in path_of(package).with_suffix("").glob("*.py")
        if path.stem != "__init__"
    }
    near = {name for name in (*HOT, *NEAR) if name.startswith(NEAR_PACKAGES)}
    assert found == near


@pytest.mark.parametrize("module", HOT)
def test_no_class_has_a_default_that_is_lost(module: str) -> None:
    """`x: A | B | None = None` on a class: mypyc takes None for "not set", because it knows
    optional types of two members only, and reading the attribute raises AttributeError."""
    lost = [
        f"{module}:{line.lineno}: set it in __init__"
        for node in ast.walk(ast.parse(path_of(module).read_text()))
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign)
        and isinstance(line.value, ast.Constant)
        and line.value.value is None
        and members(line.annotation) > 2
    ]
    assert lost == []


@pytest.mark.parametrize("module", HOT)
def test_no_membership_is_asked_of_a_literal_with_a_star(module: str) -> None:
    """`x in (a, *b)`: mypyc ends with an internal error; give the tuple a name."""
    starred = [
        f"{module}:{node.lineno}"
        for node in ast.walk(ast.parse(path_of(module).read_text()))
        if isinstance(node, ast.Compare)
        for right in node.comparators
        if isinstance(right, ast.Tuple | ast.List | ast.Set)
        and any(isinstance(member, ast.Starred) for member in right.elts)
    ]
    assert starred == []


@pytest.mark.parametrize("module", HOT)
def test_no_attribute_is_deleted(module: str) -> None:
    """A compiled class refuses `del x.y`; where Python allows it, the two would differ."""
    deleted = [
        f"{module}:{node.lineno}"
        for node in ast.walk(ast.parse(path_of(module).read_text()))
        if isinstance(node, ast.Delete)
        and any(isinstance(target, ast.Attribute) for target in node.targets)
    ]
    assert deleted == []
