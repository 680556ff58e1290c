"""Policies: one module each, pure, and the registry from spec to what a route does.

A policy nobody built fails its route closed.
"""
