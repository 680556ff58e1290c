"""The three services behind the petstore example, started by `portico dev` (portico.dev.yaml)."""
