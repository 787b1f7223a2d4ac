"""The ledger: an SQLite file that records every step of an enrollment before the next one depends on it.

All SQL of a ledger is in this folder. `ledger.Ledger` is the public object, `store.LedgerStore` what a run uses.
"""
