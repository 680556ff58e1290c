"""What Amazon API Gateway was seen to answer, asked of our engine: one test per case.

A case that needs what is not built yet is skipped with the capabilities that it misses.
"""

from __future__ import annotations

import pytest

import conformance_cases as cases
from conformance_execution import run


async def test_case(case: cases.Case | cases.Unreadable) -> None:
    if isinstance(case, cases.Unreadable):
        pytest.fail(f"{case.file}: {case.reason}")
    if cases.missing(case):
        pytest.skip(f"not built yet: {', '.join(sorted(cases.missing(case)))}")
    differences = await run(case)
    assert not differences, "\n".join(differences)
