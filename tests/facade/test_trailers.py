"""Trailers are read as git reads them."""

import subprocess

import pytest

from gitlab_facade.trailers import parse_trailers


@pytest.mark.parametrize(
    "message",
    [
        "Title\n\nSaga-Id: 5a1d\nSaga-Step: COMMIT_CONDENSER_INPUT/1",
        "Title\n\nBody of two\nlines\n\nSaga-Id: 5a1d\n",
        "Title\n\nSaga-Id:5a1d\nCorrelation-Id:   spaced  ",
        "Title\n\nSaga-Step: undo:COMMIT_CONDENSER_INPUT/1",
        "Title\r\n\r\nSaga-Id: 5a1d\r\n",
        "Title\n\nSaga-Id: first\nSaga-Id: last",
        "Saga-Id: in-the-title",
        "Title\n\nSaga-Id: quoted in the body\n\nmore text",
        "Title\n\nNo trailer at all",
        "Title",
        "",
    ],
)
def test_the_parser_agrees_with_git(message: str) -> None:
    git = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message, capture_output=True, text=True, check=True
    )
    pairs = [line.partition(":") for line in git.stdout.splitlines()]
    assert parse_trailers(message) == {key.strip(): value.strip() for key, _, value in pairs}
