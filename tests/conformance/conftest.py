"""`pytest tests/conformance --cases DIR` runs the cases of another folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import conformance_cases as cases


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where tests/conformance is named on the command line."""
    parser.addoption("--cases", type=Path, default=cases.CASES, metavar="DIR")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per case."""
    if "case" in metafunc.fixturenames:
        folder = metafunc.config.getoption("--cases", default=cases.CASES)
        found = cases.load(folder)
        metafunc.parametrize("case", found, ids=[case.id for case in found])
