"""`python -m gitlab_emulator --data-dir … --port … --admin-token …`."""

import argparse
from pathlib import Path

from gitlab_emulator.server import serve
from gitlab_emulator.settings import DEFAULT_ADMIN_TOKEN, DEFAULT_PORT, EmulatorSettings


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="gitlab_emulator", description="A GitLab over real git repositories.")
    parser.add_argument("--data-dir", type=Path, required=True, help="repositories and metadata; made when missing")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument("--external-url", default=None, help="base of addresses in answers")
    parser.add_argument("--admin-token", default=DEFAULT_ADMIN_TOKEN, help="token of the user root")
    options = parser.parse_args()
    serve(
        EmulatorSettings(
            data_dir=options.data_dir,
            host=options.host,
            port=options.port,
            external_url=options.external_url,
            admin_token=options.admin_token,
        )
    )


if __name__ == "__main__":
    main()
