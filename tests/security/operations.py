"""Every operation of the API, with what one needs to see its answer; `test_access_matrix` holds the list complete."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.security.plants import STEP, Target

Variables = Callable[[Target], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Needs:
    """What an operation needs: the roles that have it, and those who at least know the project and are told FORBIDDEN."""

    what: str
    shown: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


IDENTITY = Needs("identity", ("stranger", "guest", "reporter", "developer", "maintainer"))
ISSUES = Needs("issues", ("guest", "reporter", "developer", "maintainer"))
SECRET_ISSUES = Needs("confidential issues", ("reporter", "developer", "maintainer"))
CODE = Needs("code", ("reporter", "developer", "maintainer"))
CODE_BY_PATH = Needs("code of a named project", ("reporter", "developer", "maintainer"), ("guest",))
WRITE_SAGA = Needs("to move a saga", ("developer", "maintainer"), ("reporter",))
WRITE_PROJECT = Needs("to start something", ("developer", "maintainer"), ("guest", "reporter"))


@dataclass(frozen=True, slots=True)
class Operation:
    """A document and its variables for a target.

    `harmless`: variables that also whoever may do it is refused for; `told`: codes that come with an answer.
    """

    name: str
    needs: Needs
    document: str
    variables: Variables
    harmless: Variables | None = None
    told: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.name


_MERGE_REQUEST = "fragment M on MergeRequest { id iid title state webUrl sourceBranch targetBranch }"
_TASK = "fragment T on CalculationTask { id branch commitHash outputFile result fault: error calculation { name } }"
_EVENT = "fragment E on SagaEvent { id version type actor data }"
_BRIEF = "fragment B on Saga { id status branch projectPath startedBy { username } }"
_ISSUE = f"""fragment I on Issue {{ id title description webUrl projectPath assignees {{ username }} place: branch
  sagas(first: 2) {{ totalCount edges {{ node {{ ...B }} }} }} }} {_BRIEF}"""
_WHOLE = f"""fragment W on Saga {{ ...B state version waitingFor availableActions
  issue {{ ...I }} mergeRequest {{ ...M }} tasks {{ ...T saga {{ ...B }} }} error {{ message }} definition {{ name }}
  steps {{ name error {{ message }} commit {{ sha message }} }} pendingInput {{ draft file }}
  events(first: 3) {{ totalCount edges {{ node {{ ...E saga {{ ...B }} }} }} }} }} {_ISSUE} {_MERGE_REQUEST} {_TASK} {_EVENT}"""
_PAYLOAD = "saga { ...B } created userErrors { code message field }"
_NODE = (
    """query ($id: ID!) { node(id: $id) { id ... on Saga { ...W } ... on Issue { ...I } ... on MergeRequest { ...M }
  ... on CalculationTask { ...T } ... on SagaEvent { ...E } } } """
    + _WHOLE
)


def _mutation(name: str, kind: str) -> str:
    return f"mutation ($input: {kind}!) {{ {name}(input: $input) {{ {_PAYLOAD} }} }} {_BRIEF}"


def _by(argument: str) -> Variables:
    return lambda target: {"id": getattr(target, argument)}


def _on_saga(**more: Any) -> Variables:
    return lambda target: {"input": {"sagaId": target.waiting, **more}}


def _in_project(**more: Any) -> Variables:
    return lambda target: {"input": {"projectPath": target.path, **more}}


QUERIES = (
    Operation("viewer", IDENTITY, "{ viewer { id username } }", lambda _: {}),
    Operation("calculations", IDENTITY, "{ calculations { name } }", lambda _: {}),
    Operation("sagaDefinitions", IDENTITY, "{ sagaDefinitions { name diagram } }", lambda _: {}),
    Operation(
        "diagram of a saga",
        CODE,
        "query ($id: ID!) { sagaDefinitions { name diagram(sagaId: $id) } }",
        _by("busy"),
        told=frozenset({"BAD_USER_INPUT"}),  # it is a saga of one definition only
    ),
    Operation("saga", CODE, f"query ($id: ID!) {{ saga(id: $id) {{ ...W }} }} {_WHOLE}", _by("busy")),
    Operation("saga with a form", CODE, f"query ($id: ID!) {{ saga(id: $id) {{ ...W }} }} {_WHOLE}", _by("waiting")),
    Operation("node of a saga", CODE, _NODE, _by("busy")),
    Operation("node of an event", CODE, _NODE, _by("event")),
    Operation("node of a task", CODE, _NODE, _by("task")),
    Operation("node of a merge request", CODE, _NODE, _by("merge_request")),
    Operation("node of an issue", ISSUES, _NODE, _by("issue")),
    Operation("node of a confidential issue", SECRET_ISSUES, _NODE, _by("secret_issue")),
    Operation(
        "issue",
        ISSUES,
        f"query ($path: ID!, $iid: Int!) {{ issue(projectPath: $path, iid: $iid) {{ ...I }} }} {_ISSUE}",
        lambda target: {"path": target.path, "iid": target.issue_iid},
    ),
    Operation(
        "confidential issue",
        SECRET_ISSUES,
        f"query ($path: ID!, $iid: Int!) {{ issue(projectPath: $path, iid: $iid) {{ ...I }} }} {_ISSUE}",
        lambda target: {"path": target.path, "iid": target.secret_iid},
    ),
    Operation(
        "issues of a project",
        ISSUES,
        f"query ($path: ID!) {{ issues(projectPath: $path) {{ edges {{ node {{ ...I }} }} }} }} {_ISSUE}",
        lambda target: {"path": target.path},
    ),
    Operation(
        "geometries",
        CODE_BY_PATH,
        "query ($path: ID!) { geometries(projectPath: $path) { id key name attributes } }",
        lambda target: {"path": target.path},
    ),
    Operation(
        "geometries of a branch",
        CODE_BY_PATH,
        "query ($path: ID!, $ref: String) { geometries(projectPath: $path, ref: $ref) { id key name } }",
        lambda target: {"path": target.path, "ref": target.branch},
    ),
)

LIST = f"""query ($filter: SagaFilter, $first: Int, $after: String, $last: Int, $before: String) {{
  sagas(filter: $filter, first: $first, after: $after, last: $last, before: $before) {{
    totalCount pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} edges {{ cursor node {{ ...B }} }} }} }}
  {_BRIEF}"""
ASSIGNED = f"{{ issues {{ pageInfo {{ hasNextPage }} edges {{ node {{ ...I }} }} }} }} {_ISSUE}"
LISTS = (
    Operation("sagas", IDENTITY, LIST, lambda _: {}),
    Operation("issues", IDENTITY, ASSIGNED, lambda _: {}),
)

_UNDONE = {"expectedVersion": 1}
MUTATIONS = (
    Operation(
        "startBalanceCalculation",
        WRITE_PROJECT,
        _mutation("startBalanceCalculation", "StartBalanceCalculationInput"),
        _in_project(issueIid=2),
        _in_project(branch="main"),
    ),
    Operation(
        "runCalculation",
        WRITE_PROJECT,
        _mutation("runCalculation", "RunCalculationInput"),
        lambda t: {"input": {"projectPath": t.path, "issueIid": 2, "calculation": "condenser", "values": t.draft}},
        lambda t: {"input": {"projectPath": t.path, "branch": "main", "calculation": "condenser", "values": t.draft}},
    ),
    Operation(
        "createMergeRequest",
        WRITE_PROJECT,
        f"""mutation ($input: CreateMergeRequestInput!) {{ createMergeRequest(input: $input) {{
          mergeRequest {{ ...M }} created userErrors {{ code message field }} }} }} {_MERGE_REQUEST}""",
        lambda target: {"input": {"projectPath": target.path, "sourceBranch": target.branch, "title": "Mine"}},
        _in_project(sourceBranch="main", targetBranch="main"),
    ),
    Operation(
        "advanceSaga",
        WRITE_SAGA,
        _mutation("advanceSaga", "AdvanceSagaInput"),
        lambda target: {"input": {"sagaId": target.waiting, "step": STEP, "values": target.draft}},
        _on_saga(step="NO_SUCH_STEP", values={}),
    ),
    Operation(
        "retrySaga",
        WRITE_SAGA,
        _mutation("retrySaga", "RetrySagaInput"),
        _on_saga(fromStep=STEP),
        _on_saga(**_UNDONE),
    ),
    Operation("pauseSaga", WRITE_SAGA, _mutation("pauseSaga", "SagaActionInput"), _on_saga(), _on_saga(**_UNDONE)),
    Operation("resumeSaga", WRITE_SAGA, _mutation("resumeSaga", "SagaActionInput"), _on_saga(), _on_saga(**_UNDONE)),
    Operation(
        "cancelSaga",
        WRITE_SAGA,
        _mutation("cancelSaga", "CancelSagaInput"),
        _on_saga(reason="because"),
        _on_saga(**_UNDONE),
    ),
)

SUBSCRIPTIONS = (
    Operation(
        "sagaEvents",
        CODE,
        f"subscription ($id: ID!) {{ sagaEvents(sagaId: $id) {{ ...E saga {{ ...W }} }} }} {_WHOLE}",
        _by("busy"),
    ),
    Operation(
        "sagaUpdated",
        CODE,
        f"subscription ($id: ID!) {{ sagaUpdated(sagaId: $id) {{ ...W }} }} {_WHOLE}",
        _by("waiting"),
    ),
)
# What is the same for all readers is executed once for all of them; these are such.
SHARED = (
    Operation(
        "sagaEvents, shared",
        CODE,
        "subscription ($id: ID!) { sagaEvents(sagaId: $id) { version type actor data saga { branch } } }",
        _by("busy"),
    ),
    Operation(
        "sagaUpdated, shared",
        CODE,
        "subscription ($id: ID!) { sagaUpdated(sagaId: $id) { version status branch tasks { result } } }",
        _by("waiting"),
    ),
)
FOLLOW = f"subscription ($filter: SagaFilter) {{ sagasUpdated(filter: $filter) {{ ...W }} }} {_WHOLE}"
FOLLOWING = Operation("sagasUpdated", IDENTITY, FOLLOW, lambda _: {})

ALL = (*QUERIES, *LISTS, *MUTATIONS, *SUBSCRIPTIONS, *SHARED, FOLLOWING)
