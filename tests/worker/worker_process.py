"""A worker as a process of its own: `python -m tests.worker.worker_process '<settings as JSON>'`."""

import json
import sys
from datetime import timedelta
from pathlib import Path

from app.demo.worker.app import run_worker
from app.demo.worker.settings import WorkerSettings


def settings_from(text: str) -> WorkerSettings:
    """The settings that `settings_as_json` wrote."""
    values = json.loads(text)
    return WorkerSettings(
        broker_url=values["broker_url"],
        result_backend=values["result_backend"],
        gitlab_token=values["gitlab_token"],
        work_dir=Path(values["work_dir"]),
        gitlab_url=values["gitlab_url"],
        retry_for=timedelta(seconds=60),
        protocols=("file",),
        pool=values["pool"],
    )


if __name__ == "__main__":
    sys.exit(run_worker(settings_from(sys.argv[1])))
