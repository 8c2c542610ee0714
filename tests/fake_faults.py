"""Faults on demand: what the fakes of the ports have in common, so that tests arrange them all in one way."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound="Faulty")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the port as it came in."""

    method: str
    args: tuple[object, ...]
    kwargs: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _Plan:
    method: str
    act: Callable[[], object]
    after: bool


class Faulty:
    """A fake whose methods of the port are `recorded`.

    `calls` lists what was asked; `fail_next` and `on_next` arrange what happens at the next call of a method.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._plans: list[_Plan] = []

    def fail_next(self, method: str, error: BaseException, *, after: bool = False, times: int = 1) -> None:
        """Let the next calls of a method raise; `after`: the work is done and only the answer is lost."""

        def fail() -> None:
            raise error

        for _ in range(times):
            self.on_next(method, fail, after=after)

    def on_next(self, method: str, act: Callable[[], object], *, after: bool = False) -> None:
        """Run `act` (awaited where it must be) right before, or after, the work of the next call of a method."""
        if not inspect.iscoroutinefunction(getattr(type(self), method, None)):
            raise ValueError(f"the port has no method {method!r}")
        self._plans.append(_Plan(method, act, after))

    def called(self, method: str) -> int:
        """How often a method of the port was called."""
        return sum(call.method == method for call in self.calls)

    def _take_plan(self, method: str) -> _Plan | None:
        plan = next((plan for plan in self._plans if plan.method == method), None)
        if plan is not None:
            self._plans.remove(plan)
        return plan


def recorded(
    method: Callable[Concatenate[F, P], Awaitable[T]],
) -> Callable[Concatenate[F, P], Coroutine[Any, Any, T]]:
    """Note the call and carry out what a test has planned for it, before or after the work."""
    name = method.__name__

    async def call(self: F, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.calls.append(Call(name, args, kwargs))
        plan = self._take_plan(name)
        if plan is not None and not plan.after:
            await _act(plan)
        answer = await method(self, *args, **kwargs)
        if plan is not None and plan.after:
            await _act(plan)
        return answer

    update_wrapper(call, method)
    return call


async def _act(plan: _Plan) -> None:
    outcome = plan.act()
    if inspect.isawaitable(outcome):
        await outcome
