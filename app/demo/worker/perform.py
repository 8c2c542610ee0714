"""One task from message to result: look, read, calculate, push; look again wherever the outcome is unknown."""

import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, TypedDict

from app.demo.engineering import CALCULATIONS, CalculationError, Json
from app.demo.worker.errors import CalculationFailed, GitUnavailable, PushRefused
from app.demo.worker.message import TaskMessage
from app.demo.worker.repository import Pushed, Repository
from app.demo.worker.settings import WorkerSettings

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
PUSH_ROUNDS = 20
"""How often a push is tried anew where others keep pushing to the branch."""
LARGEST_INPUT = 5_000_000
PREFIX = "task-"

_log = logging.getLogger(__name__)


class TaskResult(TypedDict):
    """What Celery's result backend gets; its contract is docs/contracts/task-result.schema.json."""

    correlationId: str
    commit: str | None
    outputBlob: str
    outputFile: str
    unchanged: bool


def perform(calculation: str, body: object, settings: WorkerSettings) -> TaskResult:
    """Do the task that the message asks for; safe to be called again with the same message at any time.

    While git's server is away it tries again with growing pauses, as long as `settings.retry_for`.
    Raises `CalculationFailed` with a text for the engineer.
    """
    message = TaskMessage.parse(body)
    _require_own_gitlab(message, settings)
    traced = {"correlation_id": message.correlation_id, "branch": message.branch}
    give_up, pause = time.monotonic() + settings.retry_for.total_seconds(), FIRST_PAUSE
    while True:
        try:
            with _directory(settings.work_dir) as directory:
                pushed = _attempt(calculation, message, Repository(directory, message, settings))
            break
        except GitUnavailable as away:
            if time.monotonic() + pause > give_up:
                raise CalculationFailed(f"The repository cannot be reached: {away}") from away
            _log.warning("%s Next try in %.1f s.", away, pause, extra=traced)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
    _log.info("%s is done, commit %s.", calculation, pushed.commit or "not needed", extra=traced)
    return TaskResult(
        correlationId=message.correlation_id,
        commit=pushed.commit,
        outputBlob=pushed.blob,
        outputFile=message.output_file,
        unchanged=pushed.commit is None,
    )


def remove_leftovers(work_dir: Path) -> None:
    """Delete the clones of workers that were killed; those of living processes stay."""
    for directory in work_dir.glob(f"{PREFIX}*"):
        owner = directory.name.removeprefix(PREFIX).split("-")[0]
        if not owner.isdigit() or not _alive(int(owner)):
            shutil.rmtree(directory, ignore_errors=True)


def _attempt(calculation: str, message: TaskMessage, repository: Repository) -> Pushed:
    """Look for an earlier delivery's commit first: a task whose answer was lost must not be pushed twice."""
    head = repository.fetch()
    earlier = repository.delivered(head)
    if earlier is not None:
        return earlier
    blob = repository.blob_of(_calculate(calculation, message, repository))
    for _ in range(PUSH_ROUNDS):
        try:
            return repository.push(head, blob, f"Calculate {calculation}")
        except PushRefused:
            head = repository.fetch()
            earlier = repository.delivered(head)
            if earlier is not None:
                return earlier
    raise GitUnavailable(f"{message.branch} moved {PUSH_ROUNDS} times while the result was being pushed.")


def _calculate(calculation: str, message: TaskMessage, repository: Repository) -> bytes:
    files = {path: _document(repository.read(message.commit_hash, path), path) for path in message.input_files}
    try:
        output = CALCULATIONS[calculation](files)
    except CalculationError as fault:
        raise CalculationFailed(str(fault)) from fault
    return (json.dumps(output, ensure_ascii=False, allow_nan=False, indent=2) + "\n").encode()


def _document(content: bytes | None, path: str) -> Json:
    if content is None:
        raise CalculationFailed(f"{path} is not in the commit that was to be calculated.")
    if len(content) > LARGEST_INPUT:
        raise CalculationFailed(f"{path} is larger than {LARGEST_INPUT // 1_000_000} MB.")
    try:
        document: Json = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        raise CalculationFailed(f"{path} is no valid JSON: {fault}") from fault
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _require_own_gitlab(message: TaskMessage, settings: WorkerSettings) -> None:
    """The token goes to the configured server only, whatever a message says."""
    if not message.repo_url.startswith(settings.gitlab_url.rstrip("/") + "/"):
        raise CalculationFailed(f"repoUrl must be a repository of {settings.gitlab_url}; this worker serves no other.")


@contextmanager
def _directory(work_dir: Path) -> Iterator[Path]:
    work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{PREFIX}{os.getpid()}-", dir=work_dir, ignore_cleanup_errors=True
    ) as name:
        yield Path(name)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
