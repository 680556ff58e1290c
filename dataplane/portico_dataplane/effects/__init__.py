"""What decisions need of the outside world.

One dialer for every outgoing connection; later authorizers, key sets and stores.
"""
