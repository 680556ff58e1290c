"""`make conformance [CASES=DIR]`: runs the cases, says what passed, failed, or is not built yet.

The last line is `N passed, N failed, N skipped`; the exit code is 1 when any failed, 2 for wrong
usage. tests/conformance/test_conformance.py runs the same cases under pytest.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import conformance_cases as cases
from conformance_execution import run


class Verdict(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "not yet"


class Tally:
    """Counts of verdicts by file and by capability."""

    def __init__(self) -> None:
        self.total: Counter[Verdict] = Counter()
        self.files: dict[str, Counter[Verdict]] = {}
        self.capabilities: dict[str, Counter[Verdict]] = {}

    def add(self, case: cases.Case | cases.Unreadable, verdict: Verdict) -> None:
        """One case more. A skipped one counts for the capabilities that it misses."""
        self.total[verdict] += 1
        self.files.setdefault(case.file, Counter())[verdict] += 1
        if isinstance(case, cases.Unreadable):
            return
        counted = cases.missing(case) if verdict is Verdict.SKIPPED else cases.needed(case)
        for capability in counted:
            self.capabilities.setdefault(capability, Counter())[verdict] += 1

    def table(self) -> str:
        """Both counts as text."""
        groups = {"file": self.files, "capability": dict(sorted(self.capabilities.items()))}
        width = max((len(name) for rows in groups.values() for name in rows), default=0) + 2
        lines = []
        for title, rows in groups.items():
            head = "".join(f"{verdict:>9}" for verdict in Verdict)
            lines += ["", f"{title:<{width}}{head}"]
            lines += [
                f"{name:<{width}}" + "".join(f"{row[verdict] or '·':>9}" for verdict in Verdict)
                for name, row in rows.items()
            ]
        return "\n".join(lines)

    def last_line(self) -> str:
        """What scripts read."""
        return (
            f"{self.total[Verdict.PASSED]} passed, {self.total[Verdict.FAILED]} failed, "
            f"{self.total[Verdict.SKIPPED]} skipped"
        )


async def judge(case: cases.Case | cases.Unreadable) -> tuple[Verdict, list[str]]:
    """The verdict on a case, and for a failed one what differed."""
    if isinstance(case, cases.Unreadable):
        return Verdict.FAILED, [f"unreadable: {case.reason}"]
    if cases.missing(case):
        return Verdict.SKIPPED, []
    found = await run(case)
    return (Verdict.FAILED, found) if found else (Verdict.PASSED, [])


async def judge_all(found: Sequence[cases.Case | cases.Unreadable], *, verbose: bool) -> Tally:
    """Every case, one after another; failures are printed as they come."""
    tally = Tally()
    for case in found:
        verdict, differences = await judge(case)
        tally.add(case, verdict)
        if differences:
            print(f"FAILED {case.id} ({case.file})")
            print("\n".join(f"    {line}" for text in differences for line in text.splitlines()))
        elif verbose:
            print(f"{verdict:<7} {case.id}")
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--cases",
        type=Path,
        default=cases.CASES,
        metavar="DIR",
        help="folder of case files (default: the project's own)",
    )
    parser.add_argument("-k", default="", metavar="TEXT", help="only cases whose id holds TEXT")
    parser.add_argument("-v", "--verbose", action="store_true", help="name every case")
    given = parser.parse_args(arguments)
    if not given.cases.exists():
        parser.error(f"there is no {given.cases}")
    found = [case for case in cases.load(given.cases) if given.k in case.id]
    if not found:
        parser.error(f"there are no cases in {given.cases}")
    tally = asyncio.run(judge_all(found, verbose=given.verbose))
    print(tally.table())
    print()
    print(tally.last_line())
    return 1 if tally.total[Verdict.FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
