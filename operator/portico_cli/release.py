"""Which Portico this is: shown by `portico version`, written into every manifest.

Called by `main` and by the commands that compile. Promises an answer in a source tree, too.
"""

from __future__ import annotations

from importlib import metadata


def version() -> str:
    """The version of the installed distribution."""
    try:
        return metadata.version("portico")
    except metadata.PackageNotFoundError:
        return "unknown"
