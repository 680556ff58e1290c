"""The data plane: takes compiled configuration, serves traffic.

`app.Gateway` is one worker's engine; `workers` runs several; `__main__` is the process. It
imports the contract (`portico_ir`) and nothing of the compiler or Kubernetes.
"""
