"""What a run came to: violations first, then figures, and the seed at the end."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.chaos.checker.takeover import take_overs
from tests.chaos.evidence import Evidence
from tests.chaos.history import Answered, Back, FaultSet, FaultsMet, Killed, Subscribed, Told, Unanswered
from tests.chaos.plan import Options

_SHOWN = 50


def report(evidence: Evidence, options: Options, found: Sequence[str], *, took_s: float) -> Iterator[str]:
    """The lines for people."""
    yield from (f"VIOLATION  {violation}" for violation in found[:_SHOWN])
    if len(found) > _SHOWN:
        yield f"VIOLATION  … and {len(found) - _SHOWN} more"
    yield from _figures(evidence, took_s)
    yield f"violations    {len(found)}"
    least, most = options.pause
    yield (
        f'seed          {options.seed}; the same plan again: make chaos ARGS="--seed {options.seed} --sagas {options.sagas} '
        f'--balance {options.balance} --seconds {options.seconds:g} --pause {least:g} {most:g}"'
    )


def _figures(evidence: Evidence, took_s: float) -> Iterator[str]:
    history = evidence.history
    kinds = Counter(saga.definition for saga in evidence.sagas)
    ends = Counter(saga.status for saga in evidence.sagas)
    yield f"sagas         {len(evidence.sagas)} in {took_s:.0f} s ({_counted(kinds)}; {_counted(ends)})"
    yield f"events        {len(evidence.events)}; {_count(history, Told)} told to subscribers"
    yield f"answers       {_count(history, Answered)}"
    kills = Counter(record.kind for record in history if isinstance(record, Killed))
    yield f"kills         {sum(kills.values())} ({_counted(kills)})"
    met = sum(record.requests for record in history if isinstance(record, FaultsMet))
    yield f"faults        {_count(history, FaultSet)} set, {met} requests met"
    yield f"recoveries    {_recoveries(evidence)}"
    lasted = sorted(seconds for _, seconds in take_overs(evidence))
    longest = f"{lasted[-1]:.1f} s" if lasted else "none"
    yield f"take-over     longest {longest}, of {len(lasted)} sagas that a killed engine held"


def _recoveries(evidence: Evidence) -> str:
    history = evidence.history
    processes = {(record.kind, record.process) for record in history if isinstance(record, Back)}
    back = _count(history, Back) - len(processes)
    attempts = sum(event.type == "ATTEMPT_FAILED" for event in evidence.events)
    resumed = sum(isinstance(record, Subscribed) and record.after > 0 for record in history)
    repeated = _count(history, Unanswered)
    return (
        f"{back} processes came back, {attempts} attempts were made again by the engine, {repeated} requests repeated by "
        f"clients, {resumed} subscriptions resumed"
    )


def _count(history: Sequence[object], kind: type) -> int:
    return sum(isinstance(record, kind) for record in history)


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counter.items())) or "none"
