"""The worker over HTTP: its token, and what it makes of a server's refusals and silences."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.demo.worker import perform as perform_module
from app.demo.worker.errors import CalculationFailed
from app.demo.worker.perform import perform
from app.demo.worker.settings import WorkerSettings
from tests.worker.git_server import GitServer, serve_git
from tests.worker.repositories import Origin, condenser_message, git, make_origin

TOKEN = "glpat-very-secret-token"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    origin = make_origin(tmp_path)
    git(origin.path, "config", "http.receivepack", "true")
    return origin


@pytest.fixture
def server(origin: Origin) -> Iterator[GitServer]:
    with serve_git(origin.path.parent, TOKEN) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: GitServer, monkeypatch: pytest.MonkeyPatch) -> WorkerSettings:
    monkeypatch.setattr(perform_module, "FIRST_PAUSE", 0.01)
    return WorkerSettings(
        broker_url="memory://",
        result_backend="cache+memory://",
        gitlab_token=TOKEN,
        work_dir=tmp_path / "clones",
        gitlab_url=server.url,
        retry_for=timedelta(seconds=5),
    )


def over_http(origin: Origin, server: GitServer, **changed: object) -> dict[str, object]:
    return condenser_message(origin, **{"repoUrl": f"{server.url}/origin.git"} | changed)


def test_the_result_is_pushed_over_http_with_the_token(
    origin: Origin, server: GitServer, settings: WorkerSettings
) -> None:
    message = over_http(origin, server)
    result = perform("condenser", message, settings)
    assert origin.commits_since(str(message["commitHash"])) == [result["commit"]]
    assert all(seen.startswith("Basic ") for seen in server.tokens_seen)
    assert not any(TOKEN in request for request in server.requests)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_that_is_busy_is_asked_again(
    origin: Origin, server: GitServer, settings: WorkerSettings, status: int
) -> None:
    server.refuse = [status, status]
    message = over_http(origin, server)
    result = perform("condenser", message, settings)
    assert origin.commits_since(str(message["commitHash"])) == [result["commit"]]


def test_a_push_that_was_done_without_an_answer_is_not_done_again(
    origin: Origin, server: GitServer, settings: WorkerSettings
) -> None:
    server.lose_answers_to_pushes = 1
    message = over_http(origin, server)

    result = perform("condenser", message, settings)

    assert server.lose_answers_to_pushes == 0
    assert origin.commits_since(str(message["commitHash"])) == [result["commit"]]
    assert sum(request.startswith("POST") and "receive-pack" in request for request in server.requests) == 1


def test_a_token_that_is_refused_fails_in_the_end_without_being_told(
    origin: Origin, server: GitServer, settings: WorkerSettings
) -> None:
    wrong = replace(settings, gitlab_token="glpat-expired", retry_for=timedelta(seconds=0.3))
    head = origin.head()
    with pytest.raises(CalculationFailed, match="cannot be reached") as failed:
        perform("condenser", over_http(origin, server), wrong)
    assert "glpat-expired" not in str(failed.value)
    assert origin.head() == head


def test_a_server_that_forbids_is_not_asked_again(origin: Origin, server: GitServer, settings: WorkerSettings) -> None:
    server.refuse = [403]
    with pytest.raises(CalculationFailed, match="The server forbids it"):
        perform("condenser", over_http(origin, server), settings)
    assert len(server.requests) == 1


def test_a_project_that_is_not_there_fails_at_once(origin: Origin, server: GitServer, settings: WorkerSettings) -> None:
    with pytest.raises(CalculationFailed, match="not found"):
        perform("condenser", over_http(origin, server, repoUrl=f"{server.url}/nothing.git"), settings)


def test_the_token_does_not_follow_a_message_to_another_server(
    origin: Origin, server: GitServer, settings: WorkerSettings, tmp_path: Path
) -> None:
    with serve_git(tmp_path, TOKEN) as thief:
        with pytest.raises(CalculationFailed, match="serves no other"):
            perform("condenser", over_http(origin, server, repoUrl=f"{thief.url}/origin.git"), settings)
        address = thief.url.removeprefix("http://")
        with pytest.raises(CalculationFailed, match="serves no other"):
            perform("condenser", over_http(origin, server, repoUrl=f"{server.url}@{address}/origin.git"), settings)
    assert thief.requests == []


def test_a_redirect_to_another_server_is_not_followed(
    origin: Origin, server: GitServer, settings: WorkerSettings, tmp_path: Path
) -> None:
    impatient = replace(settings, retry_for=timedelta(seconds=0.1))
    with serve_git(tmp_path, TOKEN) as thief:
        server.redirect_to = thief.url
        with pytest.raises(CalculationFailed, match="cannot be reached"):
            perform("condenser", over_http(origin, server), impatient)
    assert server.requests
    assert thief.requests == []


def test_a_server_that_says_nothing_is_given_up_after_the_time_limit(
    origin: Origin, server: GitServer, settings: WorkerSettings
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patient = replace(settings, gitlab_url=url, git_timeout=timedelta(seconds=0.5), retry_for=timedelta(seconds=0))
        with pytest.raises(CalculationFailed, match="git fetch did not end in"):
            perform("condenser", over_http(origin, server, repoUrl=f"{url}/origin.git"), patient)
