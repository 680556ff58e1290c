"""What a route calls: an HTTP backend, a function, nobody (mock).

Prepared once by `build.py`; they decide and convert, the `http` package moves bytes.
"""
