"""The ledger file: its SQL, its lock and its checksums."""
