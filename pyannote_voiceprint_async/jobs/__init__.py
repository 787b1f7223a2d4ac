"""Uploads, polling and batches of jobs."""
