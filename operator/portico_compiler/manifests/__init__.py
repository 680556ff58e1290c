"""The shapes of what users write: one struct per kind, decoded by msgspec, nothing decided.

`kinds.KINDS` is the table of everything that is read; the passes import structs from the
module of their family. Field names are AWS's own in camelCase (design.md §3), unknown fields
are refused in our kinds and skipped in Kubernetes' own.
"""
