"""The clock, waiters and tasks that every layer uses."""
