"""Every benchmark in its short form, one after the other: python -m tests.benchmarks [--json] [name …]."""

import argparse
import subprocess
import sys

SHORT = {
    "engine": ("--sagas", "256"),
    "latency": ("--sagas", "128"),
    "fanout": ("--rounds", "1"),
    "api": ("--rounds", "1", "--seconds", "2"),
    "recovery": ("--sagas", "200", "--rounds", "1"),
    "memory": ("--sagas", "10000", "--rounds", "1"),
    "history": ("--sagas", "256", "--scale", "10000", "--rounds", "1"),
    "gitlab": ("--sagas", "20", "--rounds", "1"),
}
"""What makes each short; by itself, `python -m tests.benchmarks.<name>`, each measures at the length of its promise."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Short forms of all benchmarks, or of those named.")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(SHORT))
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in SHORT]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(SHORT)}")
    as_json = ["--json"] if given.json else []
    failed = [name for name in given.names or SHORT if _run(name, as_json) != 0]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def _run(name: str, as_json: list[str]) -> int:
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *SHORT[name], *as_json]
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    main()
