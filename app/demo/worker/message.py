"""The task message as a worker reads it; its contract is docs/contracts/task-message.schema.json."""

import re
from dataclasses import dataclass
from typing import Self
from uuid import UUID

from app.demo.worker.errors import CalculationFailed

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOT_IN_A_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|/$|\.$|\.lock$|/\.|\.lock/")
_KEYS = ("correlationId", "repoUrl", "branch", "commitHash", "input_files", "output_file")


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """One calculation to be done: which commit to read, which file to push to which branch."""

    correlation_id: str
    repo_url: str
    branch: str
    commit_hash: str
    input_files: tuple[str, ...]
    output_file: str

    @classmethod
    def parse(cls, body: object) -> Self:
        """The message of this body; keys that the contract does not know are let pass.

        Raises `CalculationFailed` that names the key at fault.
        """
        if not isinstance(body, dict):
            raise CalculationFailed("The task message must be one JSON object.")
        missing = [key for key in _KEYS if key not in body]
        if missing:
            raise CalculationFailed(f"The task message lacks {', '.join(missing)}.")
        inputs = body["input_files"]
        if not isinstance(inputs, list) or not inputs:
            raise CalculationFailed("input_files must be a list of at least one path.")
        return cls(
            correlation_id=_uuid(body["correlationId"]),
            repo_url=_text(body, "repoUrl"),
            branch=_branch(_text(body, "branch")),
            commit_hash=_sha(_text(body, "commitHash")),
            input_files=tuple(_path(name, "input_files") for name in inputs),
            output_file=_path(body["output_file"], "output_file"),
        )


def _text(body: dict[object, object], key: str) -> str:
    value = body[key]
    if not isinstance(value, str) or not value:
        raise CalculationFailed(f"{key} must be a text.")
    return value


def _uuid(value: object) -> str:
    try:
        return str(UUID(value)) if isinstance(value, str) else _refuse("correlationId", "a UUID")
    except ValueError:
        return _refuse("correlationId", "a UUID")


def _sha(value: str) -> str:
    return value if _SHA.fullmatch(value) else _refuse("commitHash", "a full commit hash, 40 or 64 hexadecimal digits")


def _branch(value: str) -> str:
    return _refuse("branch", "a branch name that git accepts") if _NOT_IN_A_BRANCH.search(value) else value


def _path(value: object, key: str) -> str:
    """A path below the repository's root; anything that could lead elsewhere is refused."""
    wanted = "a relative path inside the repository"
    if not isinstance(value, str) or not value or "\x00" in value or "\\" in value or "\n" in value:
        return _refuse(key, wanted)
    if any(part in {"", ".", ".."} or part.lower() == ".git" for part in value.split("/")):
        return _refuse(key, wanted)
    return value


def _refuse(key: str, wanted: str) -> str:
    raise CalculationFailed(f"{key} must be {wanted}.")
