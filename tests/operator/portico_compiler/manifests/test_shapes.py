"""What all kinds of ours have in common: camelCase, nothing unknown, constraints with words."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portico_compiler import manifests
from portico_compiler.manifests import shapes

FOLDER = Path(str(manifests.__file__)).parent
MODULES = sorted(path for path in FOLDER.glob("*.py") if path.name != "__init__.py")


def structs(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_every_field_has_a_sentence(path: Path) -> None:
    silent = []
    for struct in structs(path):
        for field, after in zip(struct.body, [*struct.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign):
                continue
            said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if not said or not str(after.value.value).endswith("."):  # type: ignore[union-attr]
                silent.append(f"{struct.name}.{ast.unparse(field.target)}")
    assert not silent


def test_names_are_camel_case_and_nothing_else_is_taken() -> None:
    given = {"name": "a", "port": 80}
    assert msgspec.convert(given, shapes.ServiceRef).scheme == "http"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given | {"prot": 1}, shapes.ServiceRef)
    cors = msgspec.convert({"allowOrigins": ["*"], "maxAge": "1m"}, shapes.Cors)
    assert cors.allow_origins == ("*",)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"allow_origins": ["*"]}, shapes.Cors)


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        (shapes.Duration, ["29s", "1m30s", "1.5h", "500ms"], ["", "29", "s", "1d", "1 s", 29]),
        (shapes.Size, ["10Mi", "1Gi", "0", 65536], ["10MB", "-1", -1, "", 1.5]),
        (shapes.Name, ["a", "a.b-c"], ["A", "-a", "a-", "", "a/b"]),
        (shapes.Namespace, ["a", "a-b"], ["a.b", "A", "a" * 64]),
        (shapes.Host, ["a.b", "*.a.b", "A.b"], ["*", "a..b", "a.*", "a b", "-a.b", ""]),
        (shapes.PortNumber | shapes.PortName, [1, 65535, "http"], [0, 65536, "", "HTTP", "a" * 16]),
        (shapes.Status, [200, "404", 599], [99, 600, "20", "2xx", "600"]),
        (shapes.Rate, [0, 0.5, 10_000], [-0.1, "1"]),
    ],
)
def test_constraints(type_: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert msgspec.convert(value, type_) == value
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(value, type_)


@pytest.mark.parametrize(
    ("origin", "fine"),
    [
        ("*", True),
        ("https://*", True),
        ("http://*", True),
        ("https://example.com", True),
        ("http://localhost:3000", True),
        ("chrome-extension://abc", True),
        ("null", True),
        ("https://example.com/", False),
        ("https://*.example.com", False),
        ("example.com", False),
        ("https://a b", False),
        ("", False),
    ],
)
def test_origins(origin: str, fine: bool) -> None:
    given = {"allowOrigins": [origin]}
    if fine:
        assert msgspec.convert(given, shapes.Cors).allow_origins == (origin,)
        return
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, shapes.Cors)


def test_every_pattern_says_in_words_what_it_wants() -> None:
    """A user reads the description, never the expression."""
    silent = []
    for path in MODULES:
        for call in re.finditer(r"Meta\((?:[^()]|\([^()]*\))*?pattern=", path.read_text()):
            rest = path.read_text()[call.start() : call.start() + 400]
            if "description=" not in rest:
                silent.append(f"{path.name}: {rest[:60]}")
    assert not silent
