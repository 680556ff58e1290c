"""CustomResourceDefinitions, made from the same structs that manifests are decoded with.

Called by `make crds` (portico_cli.crds) and by the test that compares
crds/ with what this package gives now. Promises: one document per kind, the same bytes for the
same structs; every schema is structural, and each rule between fields is the twin of one in
`portico_compiler.rules`.
"""
