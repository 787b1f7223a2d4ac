"""Decide who may send now: pure state machines that are fed with the time."""
