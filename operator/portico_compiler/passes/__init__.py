"""The passes of a compile, in the order of `compiler.compile`; each is a function of plain data."""
