"""Text into documents, whichever of the two languages it is in.

Called by `files` and `backends`. A text that begins with `{` is tried as JSON first, as
kubectl does, since JSON's escapes and tabs are not all YAML; whatever is not JSON is YAML.
"""

from __future__ import annotations

from portico_cli.json_documents import read_json
from portico_cli.readings import Reading
from portico_cli.yaml_documents import read_yaml


def read(text: str, *, json_only: bool = False) -> Reading:
    """The documents and faults of a text. Empty documents are left out, as kubectl does."""
    if text.lstrip()[:1] != "{" and not json_only:
        return read_yaml(text)
    reading = read_json(text)
    if not reading.faults:
        return reading
    if not reading.faults[0].syntax:
        # JSON is YAML too, and there every fault has its line.
        closer = read_yaml(text)
        return closer if closer.faults and not closer.faults[0].syntax else reading
    return reading if json_only else read_yaml(text)
