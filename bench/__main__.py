"""`python -m bench NAME [--peers A,B|none] [--sessions N] [--keep DIR] [--json]`: one benchmark, its rows as a JSON list."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from bench.benchmarks import BENCHMARKS, Asked, run, table


def main() -> None:
    """Run the benchmark that the command line names and print its rows."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Runs one benchmark; prints a JSON list of rows.")
    parser.add_argument("name", choices=sorted(BENCHMARKS), metavar="NAME", help=", ".join(sorted(BENCHMARKS)))
    parser.add_argument("--peers", default="none", metavar="A,B|none", help="other systems to run beside this one")
    parser.add_argument("--sessions", type=_count, metavar="N", help="only the case of N sessions at once")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the stores in this folder")
    parser.add_argument("--json", action="store_true", help="the list on one line")
    given = parser.parse_args()
    named = tuple(name for name in given.peers.split(",") if name and name != "none")
    rows = run(given.name, Asked(named, given.sessions, given.keep.resolve() if given.keep else None))
    print(msgspec.json.encode(rows).decode() if given.json else table(rows))


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 1_000_000:
        raise argparse.ArgumentTypeError("give a number from 1 to 1000000")
    return number


if __name__ == "__main__":
    main()
