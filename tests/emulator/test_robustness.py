"""Nonsense gets a clear refusal from every route, never a 500; git agrees with what was written."""

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitlab_emulator.api import api_router
from gitlab_emulator.git.objects import FILE_MODE, RawObject, encode_commit, encode_tree, pack, parse_commit, parse_tree
from gitlab_emulator.git.repository import Repository, RepositoryStore
from gitlab_emulator.git.tree_edit import TreeEdit
from tests.support_emulator import Emulator

ROUTES = sorted({(route.method, "/" + "/".join(route.pattern)) for route in api_router().routes()})
NONSENSE: tuple[object, ...] = (
    *(None, "", " ", "\0", -1, 0, 10**30, True, [], [[]], {}, {"a": {"b": 1}}),
    *("ж" * 30, "../..", "None"),
)
FIELDS = (
    *("name", "path", "username", "email", "scopes", "expires_at", "access_level", "user_id", "namespace_id"),
    *("visibility", "title", "description", "labels", "assignee_ids", "state_event", "due_date", "body"),
    *("branch", "ref", "commit_message", "content", "encoding", "actions", "start_sha", "last_commit_id"),
    *("source_branch", "target_branch", "sha", "squash", "url", "token", "events", "state", "page", "per_page"),
    *("sort", "order_by", "since", "refs", "from", "to", "search", "iids", "created_after", "not", "in"),
    *("recursive", "pagination"),
)


def filled(pattern: str, values: dict[str, str]) -> str:
    return "/".join(values.get(part[1:], "1") if part.startswith(":") else part for part in pattern.split("/"))


@pytest.fixture(scope="module")
def names(emulator: Emulator) -> dict[str, str]:
    """Path values that lead to things that exist."""
    user = emulator.create_user()
    project = emulator.create_project(files={"a": "a"}, members={user.id: 30})
    head = emulator.commit(project.id, "side", {"b": "b"}, start_branch="main")
    emulator.api("POST", f"/projects/{project.id}/issues", {"title": "x"})
    body = {"source_branch": "side", "target_branch": "main", "title": "x"}
    emulator.api("POST", f"/projects/{project.id}/merge_requests", body)
    hook = emulator.api("POST", f"/projects/{project.id}/hooks", {"url": "http://127.0.0.1:9/", "push_events": False})
    return {
        "id": str(project.id),
        "branch": "side",
        "name": "main",
        "sha": head,
        "path": "a",
        "user_id": str(user.id),
        "hook_id": str(hook["id"]),
        "trigger": "push_events",
    }


@pytest.mark.parametrize(("method", "pattern"), ROUTES)
def test_no_route_fails_on_nonsense(emulator: Emulator, names: dict[str, str], method: str, pattern: str) -> None:
    values = names
    if not pattern.startswith("/projects/:id"):
        # Users, groups and tokens that do not exist: nobody of the other tests is to be blocked or renamed.
        values = {**names, "id": "987654", "token_id": "987654"}
    address = f"{emulator.url}/api/v4{filled(pattern, values)}"
    headers = {"PRIVATE-TOKEN": emulator.admin_token}
    bodies = [dict.fromkeys(FIELDS, value) for value in NONSENSE]
    bodies += [
        dict(zip(FIELDS, itertools.cycle(NONSENSE[shift:] + NONSENSE[:shift]), strict=False)) for shift in range(5)
    ]
    with requests.Session() as session:
        if pattern == "/projects/:id" and method == "DELETE":
            bodies = []
        if method == "GET":
            assert session.get(address, headers=headers, timeout=20).status_code < 500
        for body in bodies:
            if pattern == "/personal_access_tokens/self" and method == "DELETE":
                break
            if method == "GET":
                texts = {key: str(value) for key, value in body.items()}
                answer = session.get(address, headers=headers, params=texts, timeout=20)
            else:
                answer = session.request(method, address, headers=headers, json=body, timeout=20)
            assert answer.status_code < 500, f"{body}: {answer.text}"
            if answer.status_code >= 400:
                assert set(answer.json()) & {"message", "error"}, answer.text


@pytest.mark.parametrize("ref", ["main@{upstream}", "main@{push}", "@{u}", "main@{1}", "main@{yesterday}", "@{-1}"])
def test_a_ref_that_only_a_work_tree_could_know_is_not_found(
    emulator: Emulator, names: dict[str, str], ref: str
) -> None:
    address = f"{emulator.url}/api/v4/projects/{names['id']}/repository"
    headers = {"PRIVATE-TOKEN": emulator.admin_token}
    quoted = quote(ref, safe="")
    for path in (f"/commits/{quoted}", f"/branches/{quoted}", f"/files/a?ref={quoted}", f"/tree?ref={quoted}"):
        answer = requests.get(address + path, headers=headers, timeout=20)
        assert answer.status_code == 404, f"{path}: {answer.text}"
    made = {"branch": "from-nowhere", "ref": ref}
    assert requests.post(address + "/branches", json=made, headers=headers, timeout=20).status_code == 400
    assert requests.get(address + "/branches/from-nowhere", headers=headers, timeout=20).status_code == 404


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b'"x"', b"\xff\xfe", b"{}" * 1000, b"x" * 1_000_000])
def test_a_body_that_is_no_object_is_a_400_and_changes_nothing(
    emulator: Emulator, names: dict[str, str], body: bytes
) -> None:
    path = f"/projects/{names['id']}/issues"
    before = emulator.api("GET", path)
    headers = {"PRIVATE-TOKEN": emulator.admin_token, "Content-Type": "application/json"}
    answer = requests.post(f"{emulator.url}/api/v4{path}", data=body, headers=headers, timeout=20)
    assert answer.status_code == 400
    assert "body" in answer.json()["error"]
    assert emulator.api("GET", path) == before


def test_forms_are_read_like_json(emulator: Emulator, names: dict[str, str]) -> None:
    path = f"{emulator.url}/api/v4/projects/{names['id']}/issues"
    headers = {"PRIVATE-TOKEN": emulator.admin_token}
    urlencoded = requests.post(
        path, data={"title": "Форма", "labels": "a,b", "assignee_ids[]": names["user_id"]}, headers=headers, timeout=20
    )
    multipart = requests.post(
        path,
        files={"title": (None, "Форма"), "labels": (None, "a,b"), "assignee_ids[]": (None, names["user_id"])},
        headers=headers,
        timeout=20,
    )
    for answer in (urlencoded, multipart):
        made = answer.json()
        assert (made["title"], made["labels"]) == ("Форма", ["a", "b"])
        assert [str(one["id"]) for one in made["assignees"]] == [names["user_id"]]


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
)
SAFE_NAMES = NAMES.filter(lambda name: name not in (".", "..") and "git" not in name.lower() and "\u200c" not in name)
PATHS = st.lists(SAFE_NAMES, min_size=1, max_size=3).map("/".join)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    store = RepositoryStore(tmp_path_factory.mktemp("objects"))
    yield store.create(1, "main")
    store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(PATHS, st.binary(max_size=200), min_size=1, max_size=12))
def test_trees_written_here_are_the_trees_git_would_write(repository: Repository, files: dict[str, bytes]) -> None:
    edit = TreeEdit(repository, None)
    kept: dict[str, bytes] = {}
    for path, data in files.items():
        if not (edit.get(path) or edit.is_directory(path) or edit.file_above(path)):
            edit.put(path, FILE_MODE, RawObject("blob", data).id)
            kept[path] = data
    objects = [*(RawObject("blob", data) for data in kept.values()), *edit.objects()]
    repository.write(objects)
    root = objects[-1].id
    listed = repository.git("ls-tree", "-r", "-z", root).decode().rstrip("\0").split("\0")
    assert {line.partition("\t")[2] for line in listed} == set(kept)
    # git builds the same tree from a list of files.
    index = f"{repository.path}/index-of-test"
    lines = "".join(f"{FILE_MODE} {RawObject('blob', data).id}\t{path}\0" for path, data in kept.items())
    environment = {"GIT_INDEX_FILE": index, "PATH": "/usr/bin:/bin:/usr/local/bin"}
    Path(index).unlink(missing_ok=True)
    base = ["git", "--git-dir", str(repository.path)]
    subprocess.run([*base, "update-index", "-z", "--index-info"], input=lines.encode(), env=environment, check=True)
    assert subprocess.check_output([*base, "write-tree"], env=environment, text=True).strip() == root
    assert encode_tree(parse_tree(objects[-1].data)) == objects[-1]


def test_a_pack_is_what_git_unpacks(repository: Repository) -> None:
    blobs = [RawObject("blob", bytes([number % 256]) * number) for number in (0, 1, 15, 16, 2047, 2048, 70_000)]
    done = subprocess.run(
        ["git", "--git-dir", str(repository.path), "index-pack", "--stdin", "--strict"],
        input=pack(blobs),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for blob in blobs:
        assert repository.blob(blob.id) == blob.data


def test_a_commit_object_comes_back_as_it_was_written(repository: Repository) -> None:
    empty = repository.git("mktree").decode().strip()
    named = ("-c", "user.name=Ада Л", "-c", "user.email=ada@plant.example")
    made = repository.git(*named, "commit-tree", "-m", "Заголовок\n\nSaga-Id: 1", empty).decode().strip()
    commit = repository.commit(made)
    assert (commit.title, commit.author.name) == ("Заголовок", "Ада Л")
    again = encode_commit(
        tree=commit.tree,
        parents=commit.parents,
        author=commit.author,
        committer=commit.committer,
        message=commit.message,
    )
    assert again.id == commit.id
    assert parse_commit(again.id, again.data) == commit
