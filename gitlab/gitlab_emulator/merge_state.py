"""Whether a merge request can be merged: read from git each time, delayed by the lag settings."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gitlab_emulator.git.history import is_ancestor, merge_base
from gitlab_emulator.git.merging import merged_tree
from gitlab_emulator.git.repository import Repository
from gitlab_emulator.store.records import MergeRequest

_OLD_STATUS = {
    "mergeable": "can_be_merged",
    "conflict": "cannot_be_merged",
    "preparing": "unchecked",
    "checking": "checking",
}


@dataclass(frozen=True)
class MergeState:
    """What git says about a merge request now."""

    head: str | None
    target: str | None
    base: str | None
    detailed_status: str

    @property
    def merge_status(self) -> str:
        """The older, coarser status."""
        return _OLD_STATUS.get(self.detailed_status, "can_be_merged" if self.mergeable_content else "cannot_be_merged")

    @property
    def mergeable_content(self) -> bool:
        """Whether nothing but the merge request's own state stands in the way."""
        return self.detailed_status in ("mergeable", "draft_status", "not_open")


def merge_state(repository: Repository, merge_request: MergeRequest, status_lag_s: float) -> MergeState:
    """The state of a merge request; an open one follows its branches."""
    is_open = merge_request.state == "opened"
    head = repository.head(merge_request.source_branch) if is_open else merge_request.head_sha
    target = repository.head(merge_request.target_branch)
    base = merge_request.base_sha
    if is_open:
        base = merge_base(repository, head, target) if head and target else None
    status = _status(repository, merge_request, head, target, status_lag_s)
    return MergeState(head or merge_request.head_sha, target, base, status)


def is_draft(title: str) -> bool:
    """GitLab's marks of a draft."""
    return title.lower().startswith(("draft:", "[draft]", "(draft)"))


def _status(
    repository: Repository, merge_request: MergeRequest, head: str | None, target: str | None, lag_s: float
) -> str:
    if merge_request.state != "opened":
        return "not_open"
    age = datetime.now(UTC) - datetime.fromisoformat(merge_request.updated_at)
    if age < timedelta(seconds=lag_s):
        return "preparing"
    if age < timedelta(seconds=2 * lag_s):
        return "checking"
    if head is None or target is None or is_ancestor(repository, head, target):
        return "commits_status"
    if merged_tree(repository, target, head) is None:
        return "conflict"
    return "draft_status" if is_draft(merge_request.title) else "mergeable"
