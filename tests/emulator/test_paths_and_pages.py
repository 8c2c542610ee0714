"""Encoded paths, and the headers of pages."""

from urllib.parse import quote

import pytest
import requests
from gitlab.v4.objects import Project

from tests.support_emulator import Emulator, EmulatorProject, start_emulator


def get(emulator: Emulator, path: str) -> requests.Response:
    return requests.get(f"{emulator.url}/api/v4{path}", headers={"PRIVATE-TOKEN": emulator.admin_token}, timeout=20)


def test_a_project_is_addressed_by_its_encoded_path_and_not_by_a_decoded_one(
    emulator: Emulator, plant: EmulatorProject
) -> None:
    assert get(emulator, f"/projects/{quote(plant.path, safe='')}").json()["id"] == plant.id
    assert get(emulator, f"/projects/{plant.path}").status_code == 404


@pytest.mark.parametrize("branch", ["issue/7-x", "my.branch", "a_b-c", "ветка", "x%y"])
def test_branch_names_survive_encoding(project: Project, branch: str) -> None:
    assert project.branches.create({"branch": branch, "ref": "main"}).name == branch
    assert project.branches.get(branch).name == branch
    project.branches.delete(branch)
    assert branch not in [one.name for one in project.branches.list(get_all=True)]


@pytest.mark.parametrize("path", ["with space/файл.json", "a.b/c+d.txt", "deep/er/x%20y", "q?#&.txt"])
def test_file_paths_survive_encoding(project: Project, path: str) -> None:
    body = {"file_path": path, "branch": "files", "start_branch": "main", "content": "ж\n", "commit_message": "Add"}
    project.files.create(body)
    file = project.files.get(path, ref="files")
    assert file.decode().decode() == "ж\n"
    assert file.file_path == path
    head = project.files.head(path, ref="files")
    assert head["X-Gitlab-Blob-Id"] == file.blob_id
    assert head["X-Gitlab-Size"] == "3"
    assert head["X-Gitlab-Execute-Filemode"] == "false"
    assert project.files.raw(path, ref="files") == "ж\n".encode()


def test_pages_are_counted_and_linked_from_the_external_url(emulator: Emulator, project: Project) -> None:
    for number in range(5):
        project.issues.create({"title": f"Issue {number}"})
    answer = get(emulator, f"/projects/{project.id}/issues?per_page=2&page=2")
    assert [answer.headers[f"X-{name}"] for name in ("Page", "Per-Page", "Prev-Page", "Next-Page", "Total-Pages")] == [
        "2",
        "2",
        "1",
        "3",
        "3",
    ]
    assert answer.headers["X-Total"] == "5"
    assert set(answer.links) == {"prev", "next", "first", "last"}
    assert answer.links["next"]["url"].startswith(f"{emulator.url}/api/v4/projects/{project.id}/issues?")
    last = get(emulator, f"/projects/{project.id}/issues?per_page=2&page=3")
    assert last.headers["X-Next-Page"] == ""
    assert "next" not in last.links
    beyond = get(emulator, f"/projects/{project.id}/issues?per_page=2&page=9")
    assert (beyond.status_code, beyond.json()) == (200, [])
    assert len(project.issues.list(per_page=2, get_all=True)) == 5
    empty = get(emulator, f"/projects/{project.id}/merge_requests")
    assert (empty.headers["X-Total"], empty.headers["X-Total-Pages"]) == ("0", "1")


def test_links_carry_the_configured_external_url(tmp_path_factory: pytest.TempPathFactory) -> None:
    with start_emulator(tmp_path_factory.mktemp("external"), external_url="https://git.plant.example/") as emulator:
        project = emulator.create_project(files={"a": "a", "b": "b"})
        assert project.git_url == f"https://git.plant.example/{project.path}.git"
        answer = get(emulator, f"/projects/{project.id}/repository/tree?per_page=1")
        assert answer.links["next"]["url"].startswith("https://git.plant.example/api/v4/")


def test_commits_are_never_counted_and_a_full_page_announces_another(emulator: Emulator, project: Project) -> None:
    for number in range(3):
        emulator.commit(project.id, "main", {"a": str(number)})
    answer = get(emulator, f"/projects/{project.id}/repository/commits?per_page=4")
    assert len(answer.json()) == 4
    assert "X-Total" not in answer.headers
    assert "X-Total-Pages" not in answer.headers
    assert "last" not in answer.links
    assert answer.headers["X-Next-Page"] == "2"
    empty = requests.get(answer.links["next"]["url"], headers={"PRIVATE-TOKEN": emulator.admin_token}, timeout=20)
    assert empty.json() == []
    assert "next" not in empty.links
    assert len(project.commits.list(per_page=4, get_all=True)) == 4
    refs = get(emulator, f"/projects/{project.id}/repository/commits/main/refs?type=branch")
    assert refs.json() == [{"type": "branch", "name": "main"}]
    assert "X-Total" not in refs.headers


def test_keyset_pages_have_a_next_link_alone_and_none_at_the_end(emulator: Emulator) -> None:
    for _ in range(3):
        emulator.create_project()
    query = "pagination=keyset&order_by=id&sort=asc&per_page=2"
    address: str | None = f"{emulator.url}/api/v4/projects?{query}"
    seen: list[int] = []
    while address:
        answer = requests.get(address, headers={"PRIVATE-TOKEN": emulator.admin_token}, timeout=20)
        assert "X-Page" not in answer.headers
        seen += [one["id"] for one in answer.json()]
        assert len(answer.json()) == 2 or "Link" not in answer.headers
        address = answer.links.get("next", {}).get("url")
    assert seen == sorted(set(seen))
    assert len(seen) >= 3
    unsupported = get(emulator, "/issues?pagination=keyset")
    assert unsupported.status_code == 405


def test_tree_lists_directories_first_and_pages_by_keyset(emulator: Emulator, project: Project) -> None:
    emulator.commit(project.id, "main", {"a.txt": "a", "zz/deep/x": "x", "bb/y": "y"})
    tree = list(project.repository_tree(get_all=True))
    assert [one["name"] for one in tree] == ["bb", "src", "zz", "a.txt", "balance_input.json"]
    assert tree[0]["mode"] == "040000"
    names = [one["path"] for one in project.repository_tree(recursive=True, get_all=True)]
    assert "zz/deep/x" in names
    keyset = project.repository_tree(pagination="keyset", per_page=2, get_all=True)
    assert [one["name"] for one in keyset] == [one["name"] for one in tree]
    unknown = get(emulator, f"/projects/{project.id}/repository/tree?ref=nope")
    assert unknown.json() == {"message": "404 Tree Not Found"}
    assert get(emulator, f"/projects/{project.id}/repository/tree?path=nope").status_code == 404
