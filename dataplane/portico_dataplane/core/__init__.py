"""What a gateway decides: routing, errors, balancing, retries, templates, `$context`.

Pure: no I/O, no loop, no clock, no chance; all of them come in as arguments.
"""
