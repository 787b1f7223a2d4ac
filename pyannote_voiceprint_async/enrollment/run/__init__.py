"""One enrollment run, from the list to the report."""
