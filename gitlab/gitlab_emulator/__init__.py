"""A GitLab to develop and test against: a subset of REST v4 and git over HTTP, on real git repositories.

It imports nothing of the service. `create_emulator` gives an ASGI application, `serve` runs it as a process; the
control API for faults, delays and the request log is described in `docs/emulator.md`.
"""

from gitlab_emulator.app import create_emulator
from gitlab_emulator.server import serve
from gitlab_emulator.settings import EmulatorSettings

__all__ = ["EmulatorSettings", "create_emulator", "serve"]
