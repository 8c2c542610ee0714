"""Sagas as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from app.demo.client import bare_id

_WIDE = 1_000
_SECONDS = len("2026-11-25T23:22:44")


def saga_table(connection: Mapping[str, Any]) -> None:
    """A page of sagas."""
    table = Table(box=None, pad_edge=False)
    for name in ("saga", "definition", "status", "state", "done", "project", "branch"):
        # An id is there to be copied.
        table.add_column(name, overflow="fold", no_wrap=name == "saga")
    for edge in connection["edges"]:
        saga = edge["node"]
        done = f"{saga['progress']['fraction']:.0%}"
        table.add_row(
            bare_id(saga["id"]),
            saga["definition"]["name"],
            saga["status"],
            saga["state"],
            done,
            saga["projectPath"],
            saga["branch"],
        )
    console = _console()
    console.print(table)
    console.print(f"{len(connection['edges'])} of {connection['totalCount']}", style="dim")


def saga_details(saga: Mapping[str, Any]) -> None:
    """One saga, and its steps."""
    console = _console()
    progress = saga["progress"]
    console.print(f"[bold]{saga['definition']['title']}[/]  {bare_id(saga['id'])}")
    console.print(f"{saga['status']} in {saga['state']}, version {saga['version']}")
    console.print(f"{saga['projectPath']}, branch {saga['branch']}, started by {saga['startedBy']['username']}")
    console.print(f"{progress['completedSteps']} of {progress['totalSteps']} steps done")
    if saga["waitingFor"]:
        console.print(f"waits for {saga['waitingFor']} since {saga['waitingSince']}")
    if saga["error"]:
        again = f", tries again at {saga['nextAttemptAt']}" if saga["nextAttemptAt"] else ""
        console.print(f"[red]{saga['error']['code']}[/]: {saga['error']['message']}{again}", highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("step", "status", "visit", "attempts", "commit", "finished"):
        table.add_column(name, overflow="fold", no_wrap=name == "step")
    for step in saga["steps"]:
        commit = step["commit"]["sha"][:8] if step["commit"] else ""
        table.add_row(
            step["name"],
            step["status"],
            str(step["visit"]),
            str(step["attempts"]),
            commit,
            (step["finishedAt"] or "")[:_SECONDS],
        )
    console.print(table)
    if saga["availableActions"]:
        console.print(f"you may: {', '.join(saga['availableActions'])}", style="dim")


def _console() -> Console:
    """Without a terminal a row is one line, for other programs to read."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDE)
