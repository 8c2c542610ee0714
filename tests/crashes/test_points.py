"""A new transaction, GitLab write or publish without a crash point fails here; so does a point that nothing passes."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sagas import ports
from sagas.faults import COMMITS, EFFECTS, ENVIRONMENT_VARIABLE, POINTS, STOP_VARIABLE, armed, crash_point
from tests.support import eventually_sync

SAGAS = Path(__file__).parents[2] / "sagas"
WRITES = {
    "Forge": {"create_branch", "delete_branch", "create_commit", "create_merge_request"},
    "TaskPublisher": {"publish", "revoke"},
}
READS = {
    "Forge": {
        "project", "branch", "issue_branches", "get_file_content", "blob_ids", "commits", "find_own_commit",
        "is_ancestor", "issue", "issues", "issues_numbered", "geometries", "merge_requests", "merge_request",
    },
    "TaskPublisher": {"report"},
}  # fmt: skip


def functions() -> Iterator[tuple[str, ast.AST]]:
    """Every function of the engine, with a name to find it by."""
    for path in sorted(SAGAS.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(SAGAS)}:{node.name}", node


def calls(node: ast.AST, method: str) -> Iterator[ast.Call]:
    for found in ast.walk(node):
        if isinstance(found, ast.Call) and isinstance(found.func, ast.Attribute) and found.func.attr == method:
            yield found


def is_on_database(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value).endswith("database")


def literal(call: ast.Call, keyword: str) -> str | None:
    value = next((one.value for one in call.keywords if one.arg == keyword), None)
    return str(value.value) if isinstance(value, ast.Constant) else None


def test_every_transaction_has_its_points_and_every_point_its_transaction() -> None:
    points = {}
    for name, function in functions():
        for call in calls(function, "run"):
            if is_on_database(call):
                points[name] = literal(call, "point")
    unnamed = [name for name, point in points.items() if point is None]
    assert not unnamed, "give these transactions a point, and list it in sagas.faults"
    assert {f"database.{point}" for point in points.values()} == set(COMMITS)


def test_every_method_of_the_ports_is_known_as_a_read_or_a_write() -> None:
    """A new method must be sorted here first; a write then needs its point."""
    for port, writes in WRITES.items():
        methods = {name for name in vars(getattr(ports, port)) if not name.startswith("_")}
        assert methods == writes | READS[port]


def test_every_outside_write_goes_through_the_lease_check_and_its_points() -> None:
    writes = set().union(*WRITES.values())
    passed = set()
    for name, function in functions():
        if not name.startswith("steps/"):
            continue
        reached = {
            node.attr
            for node in ast.walk(function)
            if isinstance(node, ast.Attribute)
            and node.attr in writes
            and ast.unparse(node.value).endswith(("forge", "publisher"))
        }
        guarded = list(calls(function, "write"))
        assert bool(reached) <= bool(guarded), f"{name} calls {reached} without run.write(point, …)"
        passed |= {str(call.args[0].value) for call in guarded if isinstance(call.args[0], ast.Constant)}
    assert passed == set(EFFECTS)


def test_every_announcement_stands_between_its_points() -> None:
    announcing = [(name, function) for name, function in functions() if list(calls(function, "announce"))]
    assert len(announcing) == 3
    for name, function in announcing:
        passed = [
            ast.unparse(found)
            for found in ast.walk(function)
            if isinstance(found, ast.Call) and ast.unparse(found.func) == "crash_point"
        ]
        assert sorted(passed) == ["crash_point('announce.after')", "crash_point('announce.before')"], name


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Arms a point in this process, where others were passed already."""

    def set_to(point: str) -> None:
        monkeypatch.setenv(ENVIRONMENT_VARIABLE, point)
        armed.cache_clear()

    yield set_to
    monkeypatch.undo()
    armed.cache_clear()


@pytest.mark.parametrize("point", [None, "announce.before"])
def test_an_unknown_point_is_refused_whether_one_is_armed_or_not(arm: Callable[[str], None], point: str | None) -> None:
    if point is not None:
        arm(point)
    with pytest.raises(ValueError, match=r"nowhere\.before"):
        crash_point("nowhere.before")


def test_a_setting_that_names_no_point_says_which_there_are(arm: Callable[[str], None]) -> None:
    arm("gitlab.create_comit.before")
    with pytest.raises(ValueError, match=r"gitlab\.create_commit\.before"):
        crash_point(POINTS[0])


def test_an_armed_point_kills_at_its_nth_pass_and_not_before() -> None:
    script = "from sagas.faults import crash_point as p\nfor n in (1, 2, 3): print(n, flush=True); p('announce.after')"
    environment = {**os.environ, ENVIRONMENT_VARIABLE: "announce.after:2"}
    died = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (died.returncode, died.stdout.split()) == (-9, ["1", "2"])


def test_an_armed_point_stops_at_its_nth_pass_and_goes_on_when_woken() -> None:
    script = "from sagas.faults import crash_point as p\nfor n in (1, 2, 3): print(n, flush=True); p('announce.after')"
    environment = {**os.environ, STOP_VARIABLE: "announce.after:2"}
    with subprocess.Popen(
        [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    ) as sleeper:
        eventually_sync(lambda: psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED, timeout=60)
        sleeper.send_signal(signal.SIGCONT)
        told, _ = sleeper.communicate(timeout=60)
    assert (sleeper.returncode, told.split()) == (0, ["1", "2", "3"])
