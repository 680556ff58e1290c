"""Processes: a supervisor, N workers, and the channel between them.

`__main__` starts the supervisor; nothing on the request path imports this package.
"""
