"""The clock, the waiters and the tasks that all layers use."""
