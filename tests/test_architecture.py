"""The rules of design.md §9 that a linter does not see, checked on the text of the tree.

Each list of exemptions is compared exactly: an entry that is no longer needed fails too, so the
lists can only shrink unless somebody argues for a new line here.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dataplane", "operator")
PURE = (
    "dataplane/portico_ir",
    "operator/portico_compiler",
    "dataplane/portico_dataplane/core",
    "dataplane/portico_dataplane/policies",
)
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

# --- exemptions: only ever fewer ------------------------------------------------------------

LONG_MODULES: frozenset[str] = frozenset()
"""Paths of modules over 400 lines; their docstring says why."""
LONG_FUNCTIONS: frozenset[str] = frozenset()
"""`path:name` of functions over 60 lines; their docstring says why."""
WITHOUT_TEST_FILE: frozenset[str] = frozenset()
"""Modules with code and without a test file of the same path."""
REVEALS: frozenset[str] = frozenset(
    {
        "operator/portico_operator/redis_books.py",
        "dataplane/portico_ir/redis_url.py",
        "dataplane/portico_dataplane/effects/stores/redis.py",
        "dataplane/portico_dataplane/feed/link.py",
        "dataplane/portico_ir/codec.py",
        "dataplane/portico_ir/stream.py",
        "dataplane/portico_dataplane/access_build.py",
        "dataplane/portico_dataplane/core/credentials.py",
        "dataplane/portico_dataplane/effects/certificates.py",
        "operator/portico_compiler/passes/secrets.py",
        "operator/portico_operator/cluster/reviewer.py",
        "operator/portico_operator/cluster/key_secrets.py",
        "operator/portico_operator/cluster/vault.py",
        "operator/portico_operator/delivery/access.py",
        "operator/portico_operator/delivery/authority.py",
        "operator/portico_operator/stream_tls.py",
    }
)
"""Modules that may take a secret out of its wrapping (design §9, rule 13)."""
MAKES_TASKS: frozenset[str] = frozenset(
    {"dataplane/portico_dataplane/tasks.py", "operator/portico_operator/tasks.py"}
)
"""One function a plane that keeps a reference and logs a failure (design §9, rule 15)."""
WRITES_ERRORS: frozenset[str] = frozenset({"dataplane/portico_dataplane/core/errors.py"})
"""The one place where an error becomes an answer (design §9, rule 10)."""

BANNED_NAMES = frozenset(
    {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}
)


# --- the tree -------------------------------------------------------------------------------


@cache
def product() -> dict[str, ast.Module]:
    """Every module of the product by its path."""
    return {path: ast.parse((ROOT / path).read_text()) for path in python_files(*PACKAGES)}


def python_files(*folders: str) -> list[str]:
    return sorted(
        str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py")
    )


def is_pure(path: str) -> bool:
    return path.startswith(tuple(f"{package}/" for package in PURE))


def has_code(module: ast.Module) -> bool:
    """More than a docstring and imports."""
    return any(
        not isinstance(node, ast.Import | ast.ImportFrom)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in module.body
    )


def callee(node: ast.AST) -> str:
    """Last name of what a call calls; empty for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def imported(node: ast.AST) -> list[str]:
    """Modules that an import statement names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    return [(path, node) for path, module in product().items() for node in ast.walk(module)]


def at(path: str, node: ast.AST) -> str:
    return f"{path}:{getattr(node, 'lineno', 0)}"


# --- size and words -------------------------------------------------------------------------


def test_modules_are_at_most_400_lines() -> None:
    """Rule 18."""
    long = {
        path for path in product() if len((ROOT / path).read_text().splitlines()) > MAX_MODULE_LINES
    }
    assert long == LONG_MODULES


def test_functions_are_at_most_60_lines() -> None:
    """Rule 18."""
    long = {
        f"{path}:{node.name}"
        for path, node in nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == LONG_FUNCTIONS


def test_every_module_says_why_it_exists() -> None:
    """Design §9, naming: two to ten lines; a package that only holds modules may do with one."""
    wrong = []
    for path, module in product().items():
        lines = len((ast.get_docstring(module) or "").splitlines())
        least = 2 if has_code(module) else 1
        if not least <= lines <= 10:
            wrong.append(f"{path}: {lines} lines of docstring")
    wrong += [
        f"{path}: no docstring"
        for path in python_files("tests", "examples")
        if not ast.get_docstring(ast.parse((ROOT / path).read_text()))
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_are_named_for_what_they_are() -> None:
    """No drawer for odds and ends."""
    wrong = [
        path
        for path in python_files(*PACKAGES, "tests")
        if BANNED_NAMES.intersection(part.removesuffix(".py") for part in path.split("/"))
    ]
    assert not wrong


def test_package_roots_are_no_packages() -> None:
    """With one in operator/ or tests/operator the standard library's `operator` is lost."""
    wrong = [root for root in PACKAGES if (ROOT / root / "__init__.py").exists()]
    wrong += [path for path in python_files("tests") if path.endswith("/__init__.py")]
    assert not wrong


def test_every_module_has_a_test_file_of_the_same_path() -> None:
    """Design §8."""
    missing = set()
    for path, module in product().items():
        if not has_code(module):
            continue
        folder, _, name = path.rpartition("/")
        test = f"tests/{folder}/test_{name.replace('__main__', 'main')}"
        if name != "__init__.py" and not (ROOT / test).exists():
            missing.add(path)
    assert missing == WITHOUT_TEST_FILE


# --- what code must not do ------------------------------------------------------------------


def test_nothing_asks_whether_it_is_tested() -> None:
    """Rule 14: tests pass ports."""
    asks = re.compile(
        r"\b(if|elif|while|and|or|not)\s+\(?(self\.|settings\.)?_?(is_|in_|under_)?test(ing|s)?\b"
        r"|PYTEST_|\bimport pytest\b|\bimport unittest\b|['\"]pytest['\"]",
        re.IGNORECASE,
    )
    wrong = [
        f"{path}:{number}: {line.strip()}"
        for path in product()
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1)
        if asks.search(line)
    ]
    assert not wrong


def test_tasks_are_made_in_one_place() -> None:
    """Rule 15: ruff does not see `loop.create_task`."""
    wrong = {
        at(path, node)
        for path, node in nodes()
        if callee(node) in {"create_task", "ensure_future", "run_coroutine_threadsafe"}
        and path not in MAKES_TASKS
    }
    assert not wrong


def test_no_server_name_callback() -> None:
    """§13: it swaps the certificate but not verify_mode, so mutual TLS would not be asked for."""
    wrong = [
        at(path, node)
        for path, node in nodes()
        if isinstance(node, ast.Attribute)
        and node.attr in {"sni_callback", "set_servername_callback"}
    ]
    assert not wrong


def test_errors_are_answered_in_one_place() -> None:
    """Rule 10: no other module of the data plane makes a response with an error's status."""
    wrong = [
        at(path, node)
        for path, node in nodes()
        if path.startswith("dataplane/portico_dataplane/")
        and path not in WRITES_ERRORS
        and isinstance(node, ast.Call)
        and callee(node) == "Response"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, int)
        and node.args[0].value >= 400
    ]
    wrong += [
        at(path, node)
        for path, node in nodes()
        if path.startswith("dataplane/portico_dataplane/")
        and path not in WRITES_ERRORS
        and isinstance(node, ast.Constant)
        and isinstance(node.value, bytes)
        and re.match(rb"HTTP/1\.[01] [45]\d\d", node.value)
    ]
    assert not wrong


def test_secrets_are_revealed_where_it_is_listed() -> None:
    """Rule 13."""
    found = {path for path, node in nodes() if callee(node) == "reveal"}
    assert found == REVEALS


def test_pure_modules_do_no_input_or_output() -> None:
    """Rules 2 and 3: what import-linter and ruff cannot see, because it needs no import."""
    wrong = [
        at(path, node)
        for path, node in nodes()
        if is_pure(path)
        and (
            (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"open", "print", "input", "breakpoint"}
            )
            or (
                isinstance(node, ast.Attribute)
                and node.attr in {"read_text", "write_text", "read_bytes", "write_bytes"}
            )
            or isinstance(node, ast.AsyncFunctionDef | ast.Await)
        )
    ]
    assert not wrong


def test_the_contract_needs_msgspec_only() -> None:
    """§4: `portico_ir` imports the standard library, msgspec and itself."""
    allowed = sys.stdlib_module_names | {"msgspec", "portico_ir"}
    wrong = []
    for path, node in nodes():
        if path.startswith("dataplane/portico_ir/"):
            wrong += [f"{path}: {n}" for n in imported(node) if n.split(".")[0] not in allowed]
    assert not wrong


def test_only_the_cluster_package_imports_kopf() -> None:
    """Rule 4."""
    wrong = [
        at(path, node)
        for path, node in nodes()
        if not path.startswith("operator/portico_operator/cluster/")
        and any(name.split(".")[0] == "kopf" for name in imported(node))
    ]
    assert not wrong


# --- configuration and texts ----------------------------------------------------------------


def toml(path: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / path).read_text())


@pytest.mark.parametrize("package", PURE)
def test_pure_packages_keep_the_bans_of_all(package: str) -> None:
    """Rule 3: a nested list replaces its parent's, so it must repeat it."""
    bans = [
        toml(path)["lint"]["flake8-tidy-imports"]["banned-api"]
        for path in ("ruff.toml", f"{package}/ruff.toml")
    ]
    assert bans[0].items() <= bans[1].items()
    assert {"time", "random", "secrets", "uuid.uuid4", "datetime.datetime.now"} <= bans[1].keys()


def test_pure_packages_are_the_same_everywhere() -> None:
    """This list, import-linter's, and the folders with a ruff.toml."""
    contract = (ROOT / ".importlinter").read_text().partition("[importlinter:contract:pure]")[2]
    sources = contract.partition("source_modules =")[2].partition("forbidden_modules")[0].split()
    assert sources == [package.partition("/")[2].replace("/", ".") for package in PURE]
    folders = {str(path.parent.relative_to(ROOT)) for root in PACKAGES for path in root_files(root)}
    assert folders == set(PURE)


def root_files(root: str) -> list[Path]:
    return list((ROOT / root).rglob("ruff.toml"))


def test_dependencies_have_a_lower_bound_and_a_reason() -> None:
    """§12: otherwise a resolver runs for minutes, or finds a version from another age."""
    project = toml("pyproject.toml")["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(one for extra in extras for one in extra)]
    notes = (ROOT / "docs/design-notes.md").read_text()
    wrong = []
    for requirement in wanted:
        name = re.split(r"[\[<>=!~; ]", requirement)[0]
        if name == project["name"]:
            continue
        if ">=" not in requirement and "==" not in requirement:
            wrong.append(f"{requirement}: no lower bound")
        if f"| {name} |" not in notes:
            wrong.append(f"{name}: no line in docs/design-notes.md")
    assert not wrong, "\n".join(wrong)


def test_locks_name_no_host() -> None:
    """A lock is names, versions and hashes; where they come from is the machine's business."""
    locks = list((ROOT / "requirements").glob("*.txt"))
    assert locks
    assert not [path.name for path in locks if "://" in path.read_text()]


def test_texts_name_no_place_on_somebody_s_machine() -> None:
    """Whoever clones the tree has it somewhere else."""
    place = re.compile(r"(?<![\w.:/$~}])/(work|root|home|Users|tmp)/[A-Za-z0-9_.-]")
    skipped = {".git", ".venv", "build", "dist", "node_modules"}
    wrong = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if skipped.intersection(parts) or any(part.endswith("_cache") for part in parts):
            continue
        texts = {".md", ".toml", ".yaml", ".yml", ".txt", ".sh", ".cfg", ".ini"}
        if path.is_file() and (path.suffix in texts or path.name in {"Makefile", "run"}):
            wrong += [
                f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
                for number, line in enumerate(path.read_text().splitlines(), 1)
                if place.search(line)
            ]
    assert not wrong, "\n".join(wrong)


def test_make_targets_do_what_the_readme_says() -> None:
    """Every `make x` that a text promises exists."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = [
        f"{path.relative_to(ROOT)}: make {name}"
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for name in re.findall(r"`make ([a-z0-9-]+)", path.read_text())
        if name not in targets
    ]
    assert not wrong
