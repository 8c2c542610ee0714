"""Effects outside the database: each was done once, told in the journal, and done by whom the trailers name."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.checker.journals import by_saga, replay
from tests.chaos.evidence import Evidence, GitCommit

_COMMITTING = ("HYDRATE_", "COMMIT_")
_DONE = frozenset({"COMMITTED", "COMMIT_NOT_NEEDED"})
_SETTLED = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT"})
_NOT_MOVED_BY_ITSELF = frozenset({"RETRIED"})


def one_commit_an_effect(evidence: Evidence) -> Iterator[str]:
    """At most one commit carries a `Saga-Id` together with a `Saga-Step`."""
    counted = Counter((commit.project, commit.saga, commit.step) for commit in evidence.commits if commit.saga)
    for (project, saga, step), times in counted.items():
        if times > 1:
            yield f"{times} commits of project {project} are {step} of saga {saga}"


def effects_done(evidence: Evidence) -> Iterator[str]:
    """A committing step is left by COMMITTED or COMMIT_NOT_NEEDED; what was COMMITTED is on the branch, as this effect.

    A cancelled saga's branch may be gone, and its commits with it.
    """
    rows = {row.id: row for row in evidence.sagas}
    commits = {(commit.project, commit.sha): commit for commit in evidence.commits}
    for saga, events in by_saga(evidence).items():
        row = rows.get(saga)
        if row is None:
            continue
        for entry in replay(events):
            event, state = entry.event, entry.event.from_state or ""
            moved = event.from_state != event.to_state and event.type not in _NOT_MOVED_BY_ITSELF
            if moved and state.startswith(_COMMITTING) and event.type not in _DONE:
                yield f"saga {saga} left {state} by {event.type} at version {event.version}"
            if event.type == "COMMITTED" and row.status != "CANCELLED":
                commit = commits.get((row.project, str(event.data.get("sha"))))
                wanted = (saga, f"{state}/{entry.visit}")
                if commit is None or (commit.saga, commit.step) != wanted:
                    yield f"saga {saga}: version {event.version} tells {event.data}, git has {commit}"


def commits_told(evidence: Evidence) -> Iterator[str]:
    """Every commit in a saga's name is in its journal; after a failure a person decides, so those are left out."""
    told: dict[str, set[object]] = defaultdict(set)
    failed = {event.saga for event in evidence.events if event.type == "FAILED"}
    for event in evidence.events:
        told[event.saga] |= {event.data.get("sha"), event.data.get("commit")}
    for commit in evidence.commits:
        if commit.saga and commit.saga not in failed and commit.sha not in told[commit.saga]:
            yield f"commit {commit.sha} ({commit.step}) is not in the journal of saga {commit.saga}"


def one_task_a_visit(evidence: Evidence) -> Iterator[str]:
    """Each visit of a dispatch has one task, published once; a completed saga has none that was not published."""
    rows = {row.id: row for row in evidence.sagas}
    of_visit: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    for task in evidence.tasks:
        of_visit[task.saga, task.state, task.visit].append(task.id)
        completed = task.saga in rows and rows[task.saga].status == "COMPLETED"
        settled = task.status == "REVOKED" or (task.published and task.status in _SETTLED)
        if completed and not settled:
            yield f"saga {task.saga} is completed, and its task {task.id} is {task.status}, published: {task.published}"
    for (saga, state, visit), ids in of_visit.items():
        if len(ids) > 1:
            yield f"saga {saga} has the tasks {ids} for {state}/{visit}"
    known = {task.id for task in evidence.tasks}
    yield from (f"a worker reported task {task}, which no saga has" for task in evidence.reported if task not in known)
    for saga, events in by_saga(evidence).items():
        published: Counter[tuple[str, int]] = Counter()
        for entry in replay(events):
            if entry.event.type != "TASK_PUBLISHED":
                continue
            state = entry.event.from_state or ""
            published[state, entry.visit] += 1
            if of_visit.get((saga, state, entry.visit)) != [entry.event.data.get("task")]:
                yield f"saga {saga}: {state}/{entry.visit} published {entry.event.data.get('task')}, not its own task"
        yield from (f"saga {saga}: {visit} was published {n} times" for visit, n in published.items() if n > 1)


def one_result_a_task(evidence: Evidence) -> Iterator[str]:
    """At most one commit carries a `Correlation-Id`, a known one; what was accepted carries the task's."""
    results: dict[str, list[GitCommit]] = defaultdict(list)
    for commit in evidence.commits:
        if commit.task:
            results[commit.task].append(commit)
    known = {task.id for task in evidence.tasks}
    for task, commits in results.items():
        if len(commits) > 1:
            yield f"task {task} has the commits {[commit.sha for commit in commits]}"
        if task not in known:
            yield f"commit {commits[0].sha} is the result of {task}, which no saga has"
    rows = {row.id: row for row in evidence.sagas}
    for event in evidence.events:
        if event.type != "RESULT_ACCEPTED" or event.data.get("commit") is None or event.saga not in rows:
            continue
        shas = [commit.sha for commit in results.get(str(event.data.get("task")), [])]
        if rows[event.saga].status != "CANCELLED" and event.data["commit"] not in shas:
            yield f"saga {event.saga} accepted {dict(event.data)}, git has {shas} for this task"


def queue_drained(evidence: Evidence) -> Iterator[str]:
    """When all is over, no message waits for a worker."""
    if evidence.queued:
        yield f"{evidence.queued} messages are still in the queue"
