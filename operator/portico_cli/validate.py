"""`portico validate`: everything that is wrong with manifests, and nothing else.

Called by `main`. Promises: exit code 0 when only warnings or nothing was found, 1 otherwise;
each problem once, in the order of files; as JSON when asked.
"""

from __future__ import annotations

from collections.abc import Sequence

from portico_cli.configuration import Configuration, Loader
from portico_cli.render import Printer, count, problem_json
from portico_compiler import Problem
from portico_compiler.problems import Severity
from portico_compiler.world import Settings


def run(paths: Sequence[str], backends: str | None, base_domain: str, *, as_json: bool) -> int:
    """Validate paths, print, and return the exit code."""
    loader = Loader(paths, backends)
    found = loader.load(Settings(base_domain=base_domain))
    failed = bool(found.errors) or not found.objects
    printer = Printer()
    lines = {id(problem): loader.files.line_of(problem) for problem in found.problems}

    def line_of(problem: Problem) -> int | None:
        return lines[id(problem)]

    if as_json:
        printer.json(
            {
                "valid": not failed,
                "objects": found.objects,
                "problems": [problem_json(one, line_of(one)) for one in found.problems],
            }
        )
        return int(failed)
    printer.problems(found.problems, line_of)
    printer.line(_summary(found, paths), "red" if failed else "green")
    return int(failed)


def _summary(found: Configuration, paths: Sequence[str]) -> str:
    errors = len(found.errors)
    warnings = sum(problem.severity is Severity.WARNING for problem in found.problems)
    parts = []
    if errors:
        parts.append(count(errors, "problem"))
    if warnings:
        parts.append(count(warnings, "warning"))
    if not parts:
        if not found.objects:
            return f"no manifests in {', '.join(paths)}"
        return f"{count(found.objects, 'object')}, no problems"
    return f"{count(found.objects, 'object')}, {' and '.join(parts)}"
