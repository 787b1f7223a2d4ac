"""The API as data and pure functions."""
