"""What the gateway says about itself: metrics, access log, the log for operators.

The request path knows `ports` only; everything else is for those who wire a process together.
"""
