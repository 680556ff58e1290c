"""The control plane: objects of a cluster in, configuration for data planes and status out."""
