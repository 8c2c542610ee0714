"""What `make test` runs: first all tests that bear company, on all cores; then those that need the machine for themselves.

Both parts run, whatever the first one finds. Arguments go to pytest in both; a part that they leave empty is no failure.
"""

import subprocess
import sys

import pytest

BESIDE = ("-m", "not alone", "-n", "auto", "--dist", "loadgroup")
ALONE = ("-m", "alone")
SLOWEST = ("--durations", "40", "--durations-min", "3")
"""Told at the end of each part: what to look at where it takes too long."""


def run(*part: str) -> pytest.ExitCode:
    """pytest with these arguments and the caller's, in a process of its own."""
    return pytest.ExitCode(
        subprocess.run([sys.executable, "-m", "pytest", *SLOWEST, *part, *sys.argv[1:]], check=False).returncode
    )


def main() -> int:
    """0 where all that ran passed and something ran, else pytest's first other answer."""
    answers = [run(*BESIDE), run(*ALONE)]
    wrong = [answer for answer in answers if answer not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}]
    return wrong[0] if wrong else min(answers)


if __name__ == "__main__":
    sys.exit(main())
