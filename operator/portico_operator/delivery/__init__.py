"""Delivery: configuration to data-plane pods, and what they say of it back.

`fleet` and `board` decide [pure], `access` says who a pod is, `authority` makes certificates,
`server` is the sockets. The reconciler publishes, status reads the fleet; neither waits.
"""
