"""`python -m portico_cli` is `portico`, for places without the console script.

Called by the interpreter alone; everything happens in `main`.
"""

from __future__ import annotations

from portico_cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
