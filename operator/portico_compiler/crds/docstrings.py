"""What the structs say of themselves: docstrings of classes and of fields.

Called by `schema`, so that `kubectl explain` shows the words of the code. A field's docstring is
the text below it, which Python drops, so the module's source is read. Promises: every field of
every struct of our kinds has a text.
"""

from __future__ import annotations

import ast
import functools
import inspect
from types import ModuleType

from portico_compiler.manifests import access, apis, classes, domains, routes, shapes, stages

MODULES: tuple[ModuleType, ...] = (access, apis, classes, domains, routes, shapes, stages)


def of_struct(struct: str) -> str:
    """What a struct is."""
    return _read()[struct].get("", "")


def of_field(struct: str, field: str) -> str:
    """What a field is; both by the names that the schema has."""
    return _read()[struct][field]


@functools.cache
def _read() -> dict[str, dict[str, str]]:
    """Struct to field to text, the struct's own under ''."""
    texts: dict[str, dict[str, str]] = {}
    for module in MODULES:
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                struct = getattr(module, node.name)
                encoded = dict(
                    zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True)
                )
                texts[node.name] = {"": _line(ast.get_docstring(node) or "")} | {
                    encoded[name]: text for name, text in _fields(node)
                }
    return texts


def _fields(node: ast.ClassDef) -> list[tuple[str, str]]:
    found = []
    for field, below in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            found.append((field.target.id, _line(str(below.value.value))))
    return found


def _line(text: str) -> str:
    return " ".join(text.split())
