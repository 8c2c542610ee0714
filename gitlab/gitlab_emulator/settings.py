"""What an emulator needs to know before it starts."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8929
DEFAULT_ADMIN_TOKEN = "emulator-admin-token"  # noqa: S105 - a documented development default, never a secret


@dataclass(frozen=True)
class EmulatorSettings:
    """Where the emulator keeps its data and where it listens."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    external_url: str | None = None
    """Base of every address in answers, without a trailing slash; None: the scheme and host of each request."""
    admin_token: str = DEFAULT_ADMIN_TOKEN
    """Personal access token of the user `root` (id 1), scopes `api` and `sudo`."""
