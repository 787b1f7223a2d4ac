"""Decide when a request may be sent: pure state machines that get the time as an argument."""
