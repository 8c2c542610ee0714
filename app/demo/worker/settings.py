"""What the demo worker needs to know."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The worker's surroundings; nothing is read from the environment here."""

    broker_url: str
    result_backend: str
    gitlab_token: str = field(repr=False)
    """Needs `read_repository` and `write_repository`; handed to git by environment only."""
    work_dir: Path
    """Clones live here for the length of a task."""
    gitlab_url: str
    """The token is sent to this origin only; a task that names another repository fails."""
    queues: tuple[str, ...] = ("balance.calculations",)
    pool: Literal["solo", "prefork"] = "solo"
    concurrency: int = 1
    author_name: str = "Balance+ worker"
    author_email: str = "worker@balance-plus.example"
    retry_for: timedelta = timedelta(minutes=15)
    """How long one delivery tries again while git's server is away."""
    git_timeout: timedelta = timedelta(seconds=60)
    """For one git command."""
    protocols: tuple[str, ...] = ("http", "https")
    """What git may speak; `file` is for tests."""
