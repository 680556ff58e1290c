"""`portico compile`: manifests into one snapshot file, which a data plane serves.

Called by `main`. Promises: a file is replaced as a whole and readable by its owner alone
(it may hold secrets); a broken Route is in the snapshot, where it answers 500, and makes the
exit code 1; when a text could not be read nothing is written, as nobody knows what it says.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence

from portico_cli.configuration import Loader
from portico_cli.render import Printer, count
from portico_compiler.world import Settings
from portico_ir import codec

STDOUT = "-"


def run(
    paths: Sequence[str], backends: str | None, output: str, base_domain: str, *, secrets: bool
) -> int:
    """Compile paths into `output` and return the exit code."""
    loader = Loader(paths, backends)
    # Files are a developer's machine: its own addresses may be called (design §6).
    found = loader.load(Settings(base_domain=base_domain, egress_open=True), secrets=secrets)
    printer = Printer(sys.stderr)
    printer.problems(found.problems, loader.files.line_of)
    if found.unreadable:
        printer.line("nothing is written: nobody knows what the unreadable text says", "red")
        return 1
    if not found.objects:
        printer.line(f"nothing is written: no manifests in {', '.join(paths)}", "red")
        return 1
    encoded = codec.encode(found.compiled.snapshot)
    try:
        if output == STDOUT:
            sys.stdout.buffer.write(encoded + b"\n")
            sys.stdout.buffer.flush()
        else:
            write(output, encoded)
    except OSError as error:
        printer.line(f"{output}: {error.strerror or error}", "red")
        return 1
    if found.errors:
        broken = count(len(found.errors), "problem")
        printer.line(f"{broken}: what they concern answers 500 in {output}", "red")
    return int(bool(found.errors))


def write(path: str, content: bytes) -> None:
    """Write a file (0600) beside its place, then put it there."""
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.exists(path) and not os.path.isfile(path):
        # A pipe or /dev/stdout: it has no contents to replace.
        with open(path, "wb") as opened:
            opened.write(content)
        return
    # mkstemp makes files with mode 0600.
    descriptor, temporary = tempfile.mkstemp(prefix=".portico-", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
