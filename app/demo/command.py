"""`orchestrator demo`: everything on this machine, and the story on top of it."""

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

from gitlab.exceptions import GitlabError
from rich.console import Console

from app.demo.client import GraphQLClient
from app.demo.scenario import Finished, Job, ScenarioFailedError, choose_job, play
from app.demo.seed import PROJECT_PATH, new_issue
from app.demo.show import Show
from app.demo.stack import Stack, running_stack
from app.demo.supervisor import SupervisorError

_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What was asked for."""

    data_dir: Path
    once: bool
    scenario: bool
    port: int | None


def run_demo(options: DemoOptions) -> int:
    """Run the demo; the exit status: 0, 1 with the reason on the console, 130 when interrupted within the scenario."""
    console = Console()
    try:
        return asyncio.run(_Demo(options, console).run())
    except (SupervisorError, ScenarioFailedError, GitlabError) as error:
        console.print(f"demo: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        return 1


class _Demo:
    def __init__(self, options: DemoOptions, console: Console) -> None:
        self._options, self._console = options, console
        self._show = Show(console)

    async def run(self) -> int:
        asked_to_end = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
        work = asyncio.create_task(self._work())
        ended = asyncio.create_task(asked_to_end.wait())
        await asyncio.wait({work, ended}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            ended.cancel()
            return work.result()
        work.cancel()
        await asyncio.wait({work})
        return _INTERRUPTED if self._options.once else 0

    async def _work(self) -> int:
        options = self._options
        with self._show:
            async with running_stack(options.data_dir.resolve(), options.port, self._say) as stack:
                if options.scenario:
                    await self._tell_the_story(stack)
                if not options.once:
                    self._invite(stack)
                    await asyncio.Event().wait()  # until cancelled
        return 0

    async def _tell_the_story(self, stack: Stack) -> Finished:
        async with GraphQLClient(stack.graphql) as client:
            finished = await play(client, await self._next_job(client, stack), self._show)
        self._show.rest()
        self._show.address(finished.merge_request)
        return finished

    async def _next_job(self, client: GraphQLClient, stack: Stack) -> Job:
        job = await choose_job(client, PROJECT_PATH)
        if job is None:
            await asyncio.to_thread(new_issue, stack.gitlab, stack.secrets)
            job = await choose_job(client, PROJECT_PATH)
        if job is None:
            raise ScenarioFailedError(f"The new issue in {PROJECT_PATH} is not among the user's issues.")
        return job

    def _invite(self, stack: Stack) -> None:
        self._show.title("Left running; Ctrl-C ends it all.")
        for name, url in (("console", stack.console), ("GraphiQL", stack.graphql), ("GitLab's API", stack.gitlab)):
            self._show.value(name, url)

    def _say(self, text: str) -> None:
        if "starting it again" in text:
            self._show.trouble(text)
        else:
            self._show.step(text, mark="·", colour="blue")
