"""One enrollment run: its course, from the list to the report."""
