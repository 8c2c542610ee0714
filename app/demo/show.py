"""What the demo lets people see: a progress bar and lines above it in a terminal, plain lines elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


class Show:
    """One run of the scenario on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def title(self, text: str) -> None:
        """A headline."""
        self._print(f"[bold]{escape(text)}[/]")

    def step(self, text: str, detail: str = "", *, mark: str = "•", colour: str = "green") -> None:
        """Something happened: a line with the seconds since the beginning."""
        seconds = f"{time.monotonic() - self._began:6.1f} s"
        beside = f"  [dim]{escape(detail)}[/]" if detail else ""
        self._print(f"[dim]{seconds}[/]  [{colour}]{mark}[/] {escape(text)}{beside}")

    def trouble(self, text: str) -> None:
        """Something broke, and the run goes on."""
        self.step(text, mark="!", colour="yellow")

    def value(self, name: str, value: str) -> None:
        """A result."""
        self._print(f"{'':10}  [cyan]{escape(name)}[/]: [bold]{escape(value)}[/]")

    def address(self, url: str) -> None:
        """An address on a line of its own, never wrapped, so that it can be clicked and cut out."""
        self._console.print(url, markup=False, highlight=False, soft_wrap=True)

    def progress(self, state: str, done: int, total: int) -> None:
        """How far the saga is."""
        if self._bar is None:
            self._bar = self._progress.add_task(state, total=total)
        self._progress.update(self._bar, description=state, completed=done, total=total)

    def rest(self) -> None:
        """The story is over: no bar any more, while lines may still come."""
        self._progress.stop()

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
