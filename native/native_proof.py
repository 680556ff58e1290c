"""Proof that a test run meets the compiled modules: `pytest -p native_proof`.

Used by `make test-compiled`. Without it a wrong path would run the same tests against the
checkout, and pass. Refuses to start unless every hot module comes from a library.
"""

from __future__ import annotations

import importlib.util
import sysconfig

import pytest

from hot_modules import HOT


def interpreted() -> list[str]:
    """Hot modules that Python runs from source, and from where."""
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    specs = {name: importlib.util.find_spec(name) for name in HOT}
    found = {name: spec.origin if spec else None for name, spec in specs.items()}
    return [f"{name} ({file})" for name, file in found.items() if not (file or "").endswith(suffix)]


def pytest_report_header() -> str:
    """What every run says about itself."""
    return f"compiled: {len(HOT)} hot modules"


def pytest_configure() -> None:
    """Before anything is collected."""
    wrong = interpreted()
    if wrong:
        raise pytest.UsageError("not compiled: " + ", ".join(wrong))
