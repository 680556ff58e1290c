"""`python -m portico_compiler.crds FOLDER`: writes one file per kind.

Called by `make crds`. Promises: the folder holds a file for every kind and no other of ours.
"""

from __future__ import annotations

import sys
from pathlib import Path

from portico_compiler.crds.definition import files


def main(folder: Path) -> None:
    """Writes what is new and removes what no kind stands for."""
    wanted = files()
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("portico.dev_*.yaml"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
