"""Identity, tokens, roles and error bodies."""

import gitlab
import pytest
import requests

from tests.emulator.conftest import Connect
from tests.support_emulator import Emulator, EmulatorProject, EmulatorUser


def get(emulator: Emulator, path: str, token: str | None = None, **kwargs: object) -> requests.Response:
    headers = {"PRIVATE-TOKEN": token} if token else {}
    return requests.get(f"{emulator.url}/api/v4{path}", headers=headers, timeout=20)


def test_python_gitlab_signs_in_and_finds_the_server_where_it_expects_it(
    emulator: Emulator, developer: EmulatorUser, connect: Connect
) -> None:
    client = connect(developer)
    client.auth()
    assert client.user is not None
    assert client.user.username == developer.username
    assert len(client.version()[0].split(".")) == 3


def test_bearer_and_query_tokens_are_the_same_as_the_header(emulator: Emulator, developer: EmulatorUser) -> None:
    bearer = requests.get(
        f"{emulator.url}/api/v4/user", headers={"Authorization": f"Bearer {developer.token}"}, timeout=20
    )
    query = get(emulator, f"/user?private_token={developer.token}")
    assert bearer.json()["id"] == query.json()["id"] == developer.id


def test_both_error_key_styles_are_used_as_gitlab_uses_them(emulator: Emulator, plant: EmulatorProject) -> None:
    token = emulator.admin_token
    assert get(emulator, "/projects/999999", token).json() == {"message": "404 Project Not Found"}
    assert get(emulator, f"/projects/{plant.id}/issues/99", token).json() == {"message": "404 Not found"}
    assert get(emulator, "/nowhere", token).json() == {"error": "404 Not Found"}
    missing = requests.post(
        f"{emulator.url}/api/v4/projects/{plant.id}/repository/branches",
        json={},
        headers={"PRIVATE-TOKEN": token},
        timeout=20,
    )
    assert missing.status_code == 400
    assert missing.json() == {"error": "branch is missing, ref is missing"}
    nothing = requests.put(
        f"{emulator.url}/api/v4/projects/{plant.id}", json={}, headers={"PRIVATE-TOKEN": token}, timeout=20
    )
    assert nothing.status_code == 400
    assert "at least one parameter must be provided" in nothing.json()["error"]


def test_unknown_expired_and_revoked_tokens_each_have_their_own_401(
    emulator: Emulator, developer: EmulatorUser
) -> None:
    assert get(emulator, "/user").json() == {"message": "401 Unauthorized"}
    assert get(emulator, "/user", "no-such-token").json() == {"message": "401 Unauthorized"}
    expired = get(emulator, "/user", emulator.create_token(developer.id, expires_at="2020-01-01"))
    assert expired.status_code == 401
    assert expired.json() == {
        "error": "invalid_token",
        "error_description": "Token is expired. You can either do re-authorization or token refresh.",
    }
    token = emulator.create_token(developer.id)
    emulator.api("DELETE", "/personal_access_tokens/self", token=token)
    revoked = get(emulator, "/user", token)
    assert revoked.status_code == 401
    assert revoked.json()["error_description"] == "Token was revoked. You have to re-authorize from the user."
    job = requests.get(f"{emulator.url}/api/v4/user", headers={"JOB-TOKEN": developer.token}, timeout=20)
    assert job.status_code == 401


def test_a_read_only_scope_reads_and_does_not_write(
    emulator: Emulator, developer: EmulatorUser, plant: EmulatorProject
) -> None:
    token = emulator.create_token(developer.id, scopes=["read_api"])
    assert get(emulator, f"/projects/{plant.id}", token).status_code == 200
    refused = requests.post(
        f"{emulator.url}/api/v4/projects/{plant.id}/issues",
        json={"title": "no"},
        headers={"PRIVATE-TOKEN": token},
        timeout=20,
    )
    assert refused.status_code == 403
    assert refused.json() == {
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": "api",
    }
    assert get(emulator, f"/projects/{plant.id}/issues", token).json() == []


def test_a_repository_scope_reads_files_and_nothing_else(
    emulator: Emulator, developer: EmulatorUser, plant: EmulatorProject
) -> None:
    token = emulator.create_token(developer.id, scopes=["read_repository"])
    file = f"/projects/{plant.id}/repository/files/balance_input.json?ref=main"
    assert get(emulator, file, token).status_code == 200
    assert get(emulator, f"/projects/{plant.id}/issues", token).status_code == 403


def test_a_token_tells_its_scopes_and_expiry(emulator: Emulator, developer: EmulatorUser) -> None:
    token = emulator.create_token(developer.id, scopes=["read_api", "read_repository"], expires_at="2999-12-31")
    client = gitlab.Gitlab(emulator.url, private_token=token)
    own = client.personal_access_tokens.get("self")
    assert own.scopes == ["read_api", "read_repository"]
    assert own.expires_at == "2999-12-31"
    assert own.active
    assert own.user_id == developer.id


def test_a_private_project_is_404_for_strangers_and_for_nobody(emulator: Emulator, plant: EmulatorProject) -> None:
    stranger = emulator.create_user()
    for token in (stranger.token, None):
        answer = get(emulator, f"/projects/{plant.id}", token)
        assert answer.status_code == 404
        assert answer.json() == {"message": "404 Project Not Found"}
    public = emulator.create_project(visibility="public", files={"a": "a"})
    assert get(emulator, f"/projects/{public.id}").json()["path_with_namespace"] == public.path
    assert get(emulator, f"/projects/{public.id}/repository/files/a?ref=main").status_code == 200


@pytest.mark.parametrize(("level", "file", "branch"), [(10, 403, 403), (20, 200, 403), (30, 200, 201)])
def test_each_role_may_do_what_it_may_on_gitlab(emulator: Emulator, level: int, file: int, branch: int) -> None:
    project = emulator.create_project(files={"a.txt": "a\n"})
    user = emulator.create_user()
    emulator.add_member(project.id, user.id, level)
    assert get(emulator, f"/projects/{project.id}", user.token).status_code == 200
    read = get(emulator, f"/projects/{project.id}/repository/files/a.txt?ref=main", user.token)
    assert read.status_code == file
    made = requests.post(
        f"{emulator.url}/api/v4/projects/{project.id}/repository/branches",
        json={"branch": "mine", "ref": "main"},
        headers={"PRIVATE-TOKEN": user.token},
        timeout=20,
    )
    assert made.status_code == branch
    there = emulator.api("GET", f"/projects/{project.id}/repository/branches")
    assert ("mine" in [one["name"] for one in there]) is (branch == 201)


def test_members_all_tells_a_role_inherited_from_a_group(emulator: Emulator) -> None:
    user = emulator.create_user()
    group = emulator.api("POST", "/groups", {"name": "Acme", "path": f"acme-{user.id}"})
    emulator.api("POST", f"/groups/{group['id']}/members", {"user_id": user.id, "access_level": 40})
    project = emulator.create_project(namespace_id=group["id"])
    client = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token)
    found = client.projects.get(project.id).members_all.get(user.id)
    assert found.access_level == 40
    with pytest.raises(gitlab.GitlabGetError):
        client.projects.get(project.id).members.get(user.id)
    stranger = emulator.create_user()
    answer = get(emulator, f"/projects/{project.id}/members/all/{stranger.id}", emulator.admin_token)
    assert answer.json() == {"message": "404 Not found"}


def test_only_an_administrator_makes_users_and_acts_as_others(emulator: Emulator, developer: EmulatorUser) -> None:
    headers = {"PRIVATE-TOKEN": developer.token}
    body = {"username": "eve", "name": "Eve", "email": "eve@example.com"}
    assert requests.post(f"{emulator.url}/api/v4/users", json=body, headers=headers, timeout=20).status_code == 403
    assert get(emulator, "/users?username=eve", emulator.admin_token).json() == []
    sudo = get(emulator, "/user?sudo=root", developer.token)
    assert sudo.json() == {"message": "403 Forbidden - Must be admin to use sudo"}
    as_developer = get(emulator, f"/user?sudo={developer.username}", emulator.admin_token)
    assert as_developer.json()["id"] == developer.id
    unknown = get(emulator, "/user?sudo=77777", emulator.admin_token)
    assert unknown.json() == {"message": "404 User with ID or username '77777' Not Found"}


def test_a_project_token_acts_as_a_bot_of_the_project(emulator: Emulator, plant: EmulatorProject) -> None:
    made = emulator.api(
        "POST", f"/projects/{plant.id}/access_tokens", {"name": "bot", "scopes": ["api"], "access_level": 30}
    )
    bot = get(emulator, "/user", made["token"]).json()
    assert bot["bot"] is True
    assert bot["username"].startswith(f"project_{plant.id}_bot_")
    commit = emulator.commit(plant.id, "bot-branch", {"b": "b"}, start_branch="main", token=made["token"])
    assert commit


def test_a_taken_path_is_refused_and_makes_no_second_project(emulator: Emulator, plant: EmulatorProject) -> None:
    name = plant.path.rpartition("/")[2]
    answer = requests.post(
        f"{emulator.url}/api/v4/projects",
        json={"name": name},
        headers={"PRIVATE-TOKEN": emulator.admin_token},
        timeout=20,
    )
    assert answer.status_code == 400
    assert answer.json()["message"]["path"] == ["has already been taken"]
    assert [one["id"] for one in emulator.api("GET", f"/projects?search={name}")] == [plant.id]


def test_a_renamed_project_redirects_reads_and_refuses_writes(emulator: Emulator) -> None:
    project = emulator.create_project(files={"a": "a"})
    old = project.path.replace("/", "%2F")
    emulator.api("PUT", f"/projects/{project.id}", {"path": f"moved-{project.id}"})
    answer = requests.get(
        f"{emulator.url}/api/v4/projects/{old}/repository/tree",
        headers={"PRIVATE-TOKEN": emulator.admin_token},
        allow_redirects=False,
        timeout=20,
    )
    assert answer.status_code == 301
    assert answer.headers["Location"] == f"{emulator.url}/api/v4/projects/{project.id}/repository/tree"
    write = requests.post(
        f"{emulator.url}/api/v4/projects/{old}/issues",
        json={"title": "x"},
        headers={"PRIVATE-TOKEN": emulator.admin_token},
        timeout=20,
    )
    assert write.status_code == 405
    assert write.json() == {"message": "Non GET methods are not allowed for moved projects"}
    client = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token)
    assert client.projects.get(project.path).id == project.id


def test_a_deleted_project_is_only_marked(emulator: Emulator) -> None:
    project = emulator.create_project()
    assert emulator.api("DELETE", f"/projects/{project.id}") == {"message": "202 Accepted"}
    assert emulator.api("GET", f"/projects/{project.id}")["marked_for_deletion_on"] is not None


def test_a_plain_read_takes_single_digit_milliseconds(emulator: Emulator, plant: EmulatorProject) -> None:
    session = requests.Session()
    session.headers["PRIVATE-TOKEN"] = emulator.admin_token
    address = f"{emulator.url}/api/v4/projects/{plant.id}/repository/files/balance_input.json?ref=main"
    for _ in range(40):
        assert session.get(address, timeout=20).status_code == 200
    session.close()
    times = sorted(
        one["duration_ms"]
        for one in emulator.requests_seen()
        if one["path"].endswith(f"/projects/{plant.id}/repository/files/balance_input.json")
    )
    # The fastest quarter: other tests share the machine's two cores.
    assert times[len(times) // 4] < 10


def test_a_blocked_user_and_a_revoked_impersonation_open_nothing(emulator: Emulator) -> None:
    client = gitlab.Gitlab(emulator.url, private_token=emulator.admin_token)
    made = emulator.create_user()
    user = client.users.get(made.id)
    impersonation = user.impersonationtokens.create({"name": "i", "scopes": ["api"]})
    assert get(emulator, "/user", impersonation.token).json()["id"] == made.id
    user.impersonationtokens.delete(impersonation.id)
    assert get(emulator, "/user", impersonation.token).status_code == 401
    user.block()
    assert get(emulator, "/user", made.token).json() == {"message": "401 Unauthorized"}
    user.unblock()
    assert get(emulator, "/user", made.token).status_code == 200


def test_an_administrator_makes_a_project_for_a_user_and_a_user_their_own(
    emulator: Emulator, developer: EmulatorUser, connect: Connect
) -> None:
    theirs = emulator.api("POST", f"/projects/user/{developer.id}", {"name": "given"})
    assert theirs["path_with_namespace"] == f"{developer.username}/given"
    own = connect(developer).projects.create({"name": "Own plant", "initialize_with_readme": True})
    assert (own.path_with_namespace, own.default_branch) == (f"{developer.username}/own-plant", "main")
    assert [one.title for one in own.commits.list(get_all=True)] == ["Initial commit"]
    assert own.permissions["project_access"]["access_level"] == 50
    listed = connect(developer).projects.list(owned=True, get_all=True, order_by="id", sort="asc")
    assert [one.id for one in listed] == [theirs["id"], own.id]


def test_a_maintainer_cannot_make_an_owner_and_a_member_comes_once(emulator: Emulator, connect: Connect) -> None:
    maintainer, other = emulator.create_user(), emulator.create_user()
    made = emulator.create_project(members={maintainer.id: 40})
    project = connect(maintainer).projects.get(made.id)
    with pytest.raises(gitlab.GitlabCreateError) as owner:
        project.members.create({"user_id": other.id, "access_level": 50})
    assert owner.value.response_code == 403
    member = project.members.create({"user_id": other.id, "access_level": 30})
    with pytest.raises(gitlab.GitlabCreateError, match="Member already exists") as again:
        project.members.create({"user_id": other.id, "access_level": 30})
    assert again.value.response_code == 409
    member.access_level = 20
    member.save()
    assert project.members.get(other.id).access_level == 20
    member.delete()
    assert other.id not in [one.id for one in project.members.list(get_all=True)]


def test_a_project_in_a_subgroup_is_found_by_its_whole_path(emulator: Emulator) -> None:
    name = f"acme-{emulator.create_user().id}"
    top = emulator.api("POST", "/groups", {"name": "Acme", "path": name})
    sub = emulator.api("POST", "/groups", {"name": "Plants", "path": "plants", "parent_id": top["id"]})
    project = emulator.create_project("unit-1", namespace_id=sub["id"], files={"a": "a"})
    assert project.path == f"{name}/plants/unit-1"
    assert get(emulator, f"/projects/{name}%2Fplants%2Funit-1", emulator.admin_token).json()["id"] == project.id
    assert get(emulator, f"/groups/{name}%2Fplants", emulator.admin_token).json()["full_name"] == "Acme / Plants"
