"""The contract between the planes: everything a request needs, as frozen data.

The compiler targets it, the data plane executes it; neither may say anything to the
other that is not written here. Pure: no I/O, no clock, msgspec only.
"""
