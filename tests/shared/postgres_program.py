"""A program that starts a PostgreSQL server, prints its DSN, and runs until its input ends."""

import sys

from postgres_server import postgres_server


def main() -> None:
    with postgres_server() as dsn:
        sys.stdout.write(f"{dsn}\n")
        sys.stdout.flush()
        sys.stdin.read()
