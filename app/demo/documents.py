"""The GraphQL documents of the demo and the command line, and their events in words."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import uuid4

VIEWER = "query Viewer { viewer { username name } }"

ISSUES = """
query Issues($projectPath: ID!) {
  issues(projectPath: $projectPath, first: 100) {
    edges { node {
      iid title projectPath branch
      sagas(first: 20) { edges { node { status definition { name } } } }
    } }
  }
}
"""

_SAGA_FIELDS = """
  id status state nextStep version branch projectPath
  progress { completedSteps totalSteps fraction }
"""

START = f"""
mutation Start($input: StartBalanceCalculationInput!) {{
  startBalanceCalculation(input: $input) {{ created saga {{ {_SAGA_FIELDS} }} userErrors {{ code message field }} }}
}}
"""

ADVANCE = f"""
mutation Advance($input: AdvanceSagaInput!) {{
  advanceSaga(input: $input) {{ created saga {{ {_SAGA_FIELDS} }} userErrors {{ code message field }} }}
}}
"""

RETRY = f"""
mutation Retry($input: RetrySagaInput!) {{
  retrySaga(input: $input) {{ created saga {{ {_SAGA_FIELDS} }} userErrors {{ code message field }} }}
}}
"""

CANCEL = f"""
mutation Cancel($input: CancelSagaInput!) {{
  cancelSaga(input: $input) {{ created saga {{ {_SAGA_FIELDS} }} userErrors {{ code message field }} }}
}}
"""

MERGE = """
mutation Merge($input: CreateMergeRequestInput!) {
  createMergeRequest(input: $input) {
    created mergeRequest { iid title webUrl state } userErrors { code message field }
  }
}
"""

SAGA = f"""
query Saga($id: ID!) {{
  saga(id: $id) {{
    {_SAGA_FIELDS}
    definition {{ name title }}
    waitingFor waitingSince nextAttemptAt createdAt finishedAt
    startedBy {{ username name }}
    error {{ code message retryable occurredAt }}
    steps {{ name kind status visit attempts startedAt finishedAt commit {{ sha }} error {{ code message }} }}
    pendingInput {{ step file draft expectedVersion calculation {{ name title }} }}
    tasks {{ correlationId status outputFile result error calculation {{ name }} }}
    availableActions
  }}
}}
"""

SAGAS = """
query Sagas($filter: SagaFilter, $first: Int) {
  sagas(filter: $filter, first: $first) {
    totalCount
    edges { node { id status state branch projectPath updatedAt definition { name } progress { fraction } } }
  }
}
"""

EVENTS = """
subscription Events($sagaId: ID!, $afterVersion: Int) {
  sagaEvents(sagaId: $sagaId, afterVersion: $afterVersion) {
    version type fromState toState status actor data occurredAt
    saga { progress { completedSteps totalSteps } }
  }
}
"""


def new_key() -> str:
    """An idempotency key that nobody else has."""
    return uuid4().hex


Words = Callable[[Mapping[str, Any]], tuple[str, str]]


def in_words(event: Mapping[str, Any]) -> tuple[str, str]:
    """What an event says to people: a sentence, and a detail beside it."""
    known = _WORDS.get(event["type"])
    return known(event) if known else (f"{event['type'].lower().replace('_', ' ')}: {event['toState']}", _why(event))


def _why(event: Mapping[str, Any]) -> str:
    reason = event["data"].get("reason")
    actor = event.get("actor", "engine")
    by = "" if actor == "engine" else f"by {actor}"
    return ", ".join(part for part in (_commit_of(event), str(reason or ""), by) if part)


def _committed(event: Mapping[str, Any]) -> tuple[str, str]:
    return f"{event['fromState']} committed", _commit_of(event)


def _commit_of(event: Mapping[str, Any]) -> str:
    data = event["data"]
    sha = data.get("commit") or data.get("sha") or data.get("head") or ""
    parts = [str(data[key]) for key in ("file", "path", "outputFile", "branch") if data.get(key)]
    return " ".join([*([str(sha)[:8]] if sha else []), *parts])


_WORDS: Mapping[str, Words] = MappingProxyType(
    {
        "STARTED": lambda e: (f"saga stands in {e['toState']}", f"started by {e['actor']}"),
        "ENTERED": lambda e: (f"{e['fromState']} → {e['toState']}", ""),
        "INPUT_RECEIVED": lambda e: (f"{e['fromState']} got its input", f"from {e['actor']}"),
        "BRANCH_CREATED": lambda e: ("branch made", _commit_of(e)),
        "COMMITTED": _committed,
        "COMMIT_NOT_NEEDED": lambda e: (f"{e['fromState']}: the file is as wanted already", ""),
        "TASK_PUBLISHED": lambda e: (
            f"{e['toState']}: task sent to the worker",
            str(e["data"].get("task", "")),
        ),
        "RESULT_ACCEPTED": lambda e: (f"{e['fromState']}: result accepted", _commit_of(e)),
        "ATTEMPT_FAILED": lambda e: (
            f"{e['toState']}: {e['data'].get('code', 'an attempt failed')}; the engine tries again.",
            str(e["data"].get("message", "")),
        ),
        "FAILED": lambda e: (f"{e['toState']} failed", str(e["data"].get("message", ""))),
        "UNDONE": lambda e: (f"undone: {e['data'].get('step', 'the branch')}", _why(e)),
        "UNDO_REFUSED": lambda e: (f"not undone: {e['data'].get('step', 'the branch')}", _why(e)),
        "COMPLETED": lambda _: ("calculation completed", ""),
    }
)
