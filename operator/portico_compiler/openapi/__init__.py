"""OpenAPI documents with `x-amazon-apigateway-*` extensions, taken over as our own objects.

Called by the command line and the conformance runner before they compile.
"""

from __future__ import annotations

from portico_compiler.openapi.importer import Imported, import_document

__all__ = ["Imported", "import_document"]
