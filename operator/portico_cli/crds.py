"""`python -m portico_cli.crds FOLDER`: writes the CustomResourceDefinitions, one file per kind.

Called by `make crds`. Promises: the folder holds a file for every kind and no stale one of ours.
"""

from __future__ import annotations

import sys
from pathlib import Path

from portico_compiler.crds.definition import files


def write(folder: Path) -> None:
    """Writes every file, and removes what no kind stands for any more."""
    wanted = files()
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("portico.dev_*.yaml"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
