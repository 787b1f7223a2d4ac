"""The API as data and pure functions: operations, models to JSON and back, responses, local checks."""
