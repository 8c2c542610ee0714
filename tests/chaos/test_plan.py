"""The plan is data: a seed gives the same one again, and no kind of process is spared by luck."""

from itertools import pairwise

import pytest

from tests.chaos.__main__ import options
from tests.chaos.plan import Kind, Options, make_plan

ASKED = Options(seed=11, sagas=100, balance=20, seconds=300)


def test_the_same_seed_gives_the_same_plan() -> None:
    assert make_plan(ASKED) == make_plan(ASKED)
    assert list(make_plan(ASKED).lines()) == list(make_plan(ASKED).lines())


def test_another_seed_gives_another_plan() -> None:
    assert make_plan(ASKED).kills != make_plan(Options(seed=12, sagas=100, balance=20, seconds=300)).kills


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_is_killed_and_all_kills_and_faults_are_within_the_time(seed: int) -> None:
    plan = make_plan(Options(seed=seed, seconds=300))
    assert {kill.kind for kill in plan.kills} == set(Kind)
    times = [kill.at for kill in plan.kills] + [fault.at for fault in plan.faults]
    assert all(0 <= at <= 300 for at in times)
    pauses = [after.at - before.at for before, after in pairwise(plan.kills)]
    assert all(4.9 <= pause <= 40.1 for pause in pauses)


def test_the_choice_among_processes_is_always_one_of_them() -> None:
    """Rounding once made 1 of 0.9996, and a long run ended at its eighth kill."""
    kills = [kill for seed in range(40) for kill in make_plan(Options(seed=seed, seconds=1200)).kills]
    assert all(0 <= kill.which < 1 for kill in kills)


def test_options_that_make_no_sense_are_refused_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--sagas", "-1"], ["--seconds", "0"], ["--pause", "9", "3"], ["--engines", "0"]):
        with pytest.raises(SystemExit) as ended:
            options(wrong)
        assert ended.value.code == 2
        assert "make chaos: error:" in capsys.readouterr().err


def test_a_seed_that_was_not_given_is_chosen() -> None:
    asked, keep = options(["--sagas", "3"])
    assert (asked.sagas, asked.balance, keep) == (3, 50, None)
    assert asked.seed >= 0
