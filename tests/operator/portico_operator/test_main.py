"""`python -m portico_operator`: wrong usage and a missing cluster are sentences, not tracebacks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def operator(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portico_operator", *arguments],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_help() -> None:
    done = operator("--help")
    assert done.returncode == 0
    assert "--watch-namespace" in done.stdout


def test_wrong_usage() -> None:
    done = operator("--stream-port=many")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_no_cluster(tmp_path: Path) -> None:
    done = operator("--kubeconfig", str(tmp_path / "absent"), HOME=str(tmp_path))
    assert done.returncode == 1
    assert "no credentials for a cluster" in done.stderr
    assert "Traceback" not in done.stderr
