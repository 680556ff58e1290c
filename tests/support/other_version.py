"""Another version of the data plane or the operator: this one's source, with a few words changed.

Used by the fault tests that run two versions side by side. Promises: a change that no longer
finds its words is an error, so that a test never compares a version with itself.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLANES = ("dataplane", "operator")


class NoSuchWords(AssertionError):
    """The source says it otherwise by now; the message names the file."""


def another_version(folder: Path, changes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The environment in which processes run the other version.

    `changes` are by file of the tree: words as they stand there, and what stands instead.
    """
    for plane in PLANES:
        shutil.copytree(ROOT / plane, folder / plane, ignore=shutil.ignore_patterns("__pycache__"))
    for name, words in changes.items():
        file = folder / name
        text = file.read_text()
        for now, instead in words.items():
            if now not in text:
                raise NoSuchWords(f"{name} does not say {now!r}")
            text = text.replace(now, instead)
        file.write_text(text)
    # Before everything else: also before this tree, if that is where it was started.
    rest = os.environ.get("PYTHONPATH", "")
    path = [str(folder / plane) for plane in PLANES]
    return {"PYTHONPATH": os.pathsep.join([*path, rest] if rest else path)}
