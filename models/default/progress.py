"""A bar on the terminal."""
import sys


def progress(what, i, n):
    if i == n or n < 40 or i % 20 == 0:
        bar = "#" * (30 * i // max(1, n))
        print(f"\r{what:18s} [{bar:30s}] {i}/{n}", end="\n" if i == n else "", flush=True, file=sys.stderr)
