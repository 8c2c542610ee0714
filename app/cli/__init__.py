"""The `orchestrator` command.

Importing this is cheap, so that `--help` answers at once: each command loads what it needs when it runs.
"""

import os
import sys

from app.demo.lifeline import hold_on


def main() -> None:
    """Run the command; what is wrong with the settings or the surroundings is told in words, without a trace."""
    hold_on()
    from app.cli.commands import app  # noqa: PLC0415 - after the lifeline is in hand

    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Somebody like `head` has read enough; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
