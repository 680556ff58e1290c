"""Where pods settle their leases: in memory, with the operator, or in Redis (design.md §7).

Each implements `workers.leasing.Store`; `workers/accounting.py` chooses.
"""
