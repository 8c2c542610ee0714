"""One of the product's own commands, `python -m tests.chaos.service_process serve|engine …`, that also runs engine-only sagas."""

from unittest.mock import patch

from app import cli, wiring
from tests.chaos import engine_only


def main() -> None:
    """The command, over a GitLab with one more project and a catalogue with one more definition."""
    with (
        patch.object(wiring, "GitLabFacade", engine_only.EngineOnlyForge),
        patch.object(wiring, "shipped_definitions", engine_only.definitions),
    ):
        cli.main()


if __name__ == "__main__":
    main()
