"""What a saga carries from step to step: names, hashes, blob ids and a summary per step; never a document.

Stored as JSON in `saga.context`; keys are camelCase there because the summary goes to the API as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Self


class StepStatus(StrEnum):
    """How far one state of the chart has come."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    WAITING = "WAITING"
    DONE = "DONE"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    COMPENSATED = "COMPENSATED"


@dataclass(frozen=True)
class StepSummary:
    """One state's latest visit, for lists of sagas: no journal is read for it. Times are ISO 8601 in UTC.

    Contexts share the summaries of the steps that did not change, and with them their stored form.
    """

    visit: int = 0
    status: StepStatus = StepStatus.PENDING
    attempts: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    error: Mapping[str, Any] | None = None
    commit: Mapping[str, Any] | None = None
    """{sha, webUrl, message}: for showing it."""

    @cached_property
    def stored(self) -> Mapping[str, Any]:
        """The stored form, without what is empty."""
        stored = {
            "visit": self.visit,
            "status": self.status.value,
            "attempts": self.attempts,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "error": self.error,
            "commit": self.commit,
        }
        return {key: value for key, value in stored.items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the stored form; what is missing has its default."""
        return cls(
            visit=stored.get("visit", 0),
            status=StepStatus(stored.get("status", StepStatus.PENDING)),
            attempts=stored.get("attempts", 0),
            started_at=stored.get("startedAt"),
            finished_at=stored.get("finishedAt"),
            error=stored.get("error"),
            commit=stored.get("commit"),
        )


@dataclass(frozen=True)
class CalculationFacts:
    """What the saga knows of one calculation's files on its branch; shared like the summaries."""

    input_blob: str | None = None
    input_commit: str | None = None
    await_visit: int | None = None
    """The visit of AWAIT_USER_C_INPUT whose draft row holds the values to commit."""
    task_id: str | None = None
    output_blob: str | None = None
    output_commit: str | None = None

    @cached_property
    def stored(self) -> Mapping[str, Any]:
        """The stored form, without what is empty."""
        stored = {
            "inputBlob": self.input_blob,
            "inputCommit": self.input_commit,
            "awaitVisit": self.await_visit,
            "taskId": self.task_id,
            "outputBlob": self.output_blob,
            "outputCommit": self.output_commit,
        }
        return {key: value for key, value in stored.items() if value is not None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the stored form."""
        return cls(
            input_blob=stored.get("inputBlob"),
            input_commit=stored.get("inputCommit"),
            await_visit=stored.get("awaitVisit"),
            task_id=stored.get("taskId"),
            output_blob=stored.get("outputBlob"),
            output_commit=stored.get("outputCommit"),
        )


@dataclass(frozen=True, slots=True)
class SagaContext:
    """The saga's memory. `head` is the newest head of the branch that this saga recorded: searches start there."""

    repo_url: str
    default_branch: str
    head: str | None = None
    branch_created: bool = False
    branch_base: str | None = None
    """The commit from which the saga made the branch: what came after it is asked for its maker before the branch goes."""
    steps: Mapping[str, StepSummary] = field(default_factory=dict)
    calculations: Mapping[str, CalculationFacts] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    """What the user asked for, where a definition needs it later: values of a single calculation, merge request texts."""
    commits: tuple[Mapping[str, Any], ...] = ()
    """Every commit this saga made, oldest first, as undo needs it:
    {state, visit, sha, path, blob, previousBlob?, parent, undone?}; `undone` is "UNDONE" or "REFUSED"."""
    merge_requests: tuple[int, ...] = ()
    """The numbers of the branch's merge requests that were open when the watcher last looked."""
    merge_request: Mapping[str, Any] | None = None
    """{id, iid, projectId, title, state, webUrl, sourceBranch, targetBranch, created}."""

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        stored: dict[str, Any] = {
            "repoUrl": self.repo_url,
            "defaultBranch": self.default_branch,
            "steps": {name: step.stored for name, step in self.steps.items()},
            "calculations": {name: facts.stored for name, facts in self.calculations.items()},
        }
        if self.head is not None:
            stored["head"] = self.head
        if self.branch_created:
            stored["branchCreated"] = True
        if self.branch_base is not None:
            stored["branchBase"] = self.branch_base
        if self.commits:
            stored["commits"] = [dict(commit) for commit in self.commits]
        if self.request:
            stored["request"] = dict(self.request)
        if self.merge_requests:
            stored["mergeRequests"] = list(self.merge_requests)
        if self.merge_request is not None:
            stored["mergeRequest"] = dict(self.merge_request)
        return stored

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read the stored form."""
        return cls(
            repo_url=stored["repoUrl"],
            default_branch=stored["defaultBranch"],
            head=stored.get("head"),
            branch_created=stored.get("branchCreated", False),
            branch_base=stored.get("branchBase"),
            steps={name: StepSummary.from_json(step) for name, step in stored.get("steps", {}).items()},
            calculations={
                name: CalculationFacts.from_json(facts) for name, facts in stored.get("calculations", {}).items()
            },
            commits=tuple(stored.get("commits", ())),
            request=stored.get("request", {}),
            merge_requests=tuple(stored.get("mergeRequests", ())),
            merge_request=stored.get("mergeRequest"),
        )

    def step(self, state: str) -> StepSummary:
        """The summary of a state, also of one not entered yet."""
        return self.steps.get(state, StepSummary())

    def with_step(self, state: str, **changes: Any) -> Self:
        """A copy in which the state's summary has changed."""
        return replace(self, steps={**self.steps, state: replace(self.step(state), **changes)})

    def facts(self, calculation: str) -> CalculationFacts:
        """What is known of a calculation, also of one not reached yet."""
        return self.calculations.get(calculation, CalculationFacts())

    def with_facts(self, calculation: str, **changes: Any) -> Self:
        """A copy in which the calculation's facts have changed."""
        changed = replace(self.facts(calculation), **changes)
        return replace(self, calculations={**self.calculations, calculation: changed})
