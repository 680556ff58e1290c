"""The line of a field, found by composing its document again.

Called by `files` for documents with a Problem only, so that reading thousands of good ones
keeps no positions. Promises an answer for every path: the nearest parent that is written
down, at worst the document's first line.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import Any

import yaml

from portico_cli.yaml_documents import Loader, line_starts, separates


class FieldLines:
    """The lines of one text. A thousand problems in one file cut it into lines once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts = line_starts(text)
        self._separators = [n for n, at in enumerate(self._starts) if separates(text, at)]
        self._composed: tuple[int, yaml.Node | None] = (-1, None)

    def line(self, document_line: int, path: str) -> int:
        """The line of a field, or of its nearest parent that is written down."""
        position = bisect_right(self._separators, max(document_line - 1, 0))
        # An anchor or `---` may stand before the content.
        start = self._separators[position - 1] if position else 0
        if self._composed[0] != start:
            after = self._separators[position : position + 1]
            end = self._starts[after[0]] if after else len(self._text)
            self._composed = (start, _composed(self._text[self._starts[start] : end]))
        node = self._composed[1]
        return start + _walked(node, path) + 1 if node is not None else document_line


def _composed(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_FirstDocument)
    except (yaml.YAMLError, RecursionError):
        return None
    return node


class _FirstDocument(Loader):  # type: ignore[misc]
    """Composes the first document and does not mind what follows."""

    def get_single_node(self) -> Any:
        return self.get_node() if self.check_node() else None


def _walked(node: yaml.Node, path: str) -> int:
    line = node.start_mark.line
    while path:
        step = _step(node, path)
        if step is None:
            return line
        line, node, path = step
    return line


def _step(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    path = path.removeprefix(".")
    if isinstance(node, yaml.SequenceNode):
        found = re.match(r"\[(\d+)\]", path)
        if found is None or int(found[1]) >= len(node.value):
            return None
        child = node.value[int(found[1])]
        return child.start_mark.line, child, path[found.end() :]
    best: tuple[int, yaml.Node, str] | None = None
    longest = 0
    if isinstance(node, yaml.MappingNode):
        for key, child in node.value:
            # Keys may hold dots and slashes: the longest one that fits is the one meant.
            for written in _spellings(str(key.value)):
                rest = path[len(written) :]
                fits = path.startswith(written) and rest[:1] in ("", ".", "[")
                if fits and len(written) > longest:
                    longest, best = len(written), (key.start_mark.line, child, rest)
    return best


def _spellings(key: str) -> tuple[str, ...]:
    return key, f"[{key}]", f'["{key}"]', f"['{key}']", f"[{json.dumps(key, ensure_ascii=False)}]"
