"""A colleague who commits to a saga's branch behind the service's back, by GitLab's REST API."""

import asyncio
import json
from contextlib import suppress
from hashlib import sha1

from tests.chaos.history import ForeignCommit, Tape, now
from tests.support_emulator import Emulator

_TRIES = 15


class Colleague:
    """Edits that are recorded once GitLab has confirmed them."""

    def __init__(self, gitlab: Emulator, token: str, tape: Tape) -> None:
        self._gitlab = gitlab
        self._token = token
        self._tape = tape

    async def edit(self, project: int, branch: str, path: str, degrees: int) -> None:
        """Change the file once, however often GitLab does not answer; given up where it never does."""
        for _ in range(_TRIES):
            with suppress(AssertionError, OSError, ValueError):
                await asyncio.to_thread(self._edit, project, branch, path, degrees)
                return
            await asyncio.sleep(0.5)

    def _edit(self, project: int, branch: str, path: str, degrees: int) -> None:
        before = self._gitlab.read_file(project, path, branch)
        text = _changed(before, degrees)
        if text != before:
            self._gitlab.commit(project, branch, {path: text}, message=f"Measured {degrees} °C", token=self._token)
        head = self._gitlab.api(
            "GET", f"/projects/{project}/repository/commits?ref_name={branch}&path={path}&per_page=1"
        )
        content = text.encode()
        blob = sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        if head[0]["title"] == f"Measured {degrees} °C":
            self._tape.write(ForeignCommit(now(), project, branch, path, head[0]["id"], blob))


def _changed(before: str | None, degrees: int) -> str:
    """A condenser's input with another water temperature, or a note."""
    if before is None or not before.startswith("{"):
        return f"Measured {degrees} °C\n"
    document = json.loads(before)
    document["cooling_water"]["inlet_temperature_c"] = degrees
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
