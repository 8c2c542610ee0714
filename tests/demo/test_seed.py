"""Setting GitLab up for the demo, against a running emulator."""

from pathlib import Path

import gitlab

from app.demo.sample import sample_files, sample_issues
from app.demo.seed import ENGINEER, PROJECT_PATH, SERVICE, WORKER, Secrets, new_issue, seed
from tests.support_emulator import ADMIN_TOKEN, start_emulator

HOOK = "http://127.0.0.1:9/webhooks/gitlab"


def test_everything_is_made_once_and_a_second_time_changes_nothing(tmp_path: Path) -> None:
    with start_emulator(tmp_path) as emulator:
        first = seed(emulator.url, Secrets(ADMIN_TOKEN, "hush"), HOOK)
        client = gitlab.Gitlab(emulator.url, private_token=ADMIN_TOKEN)
        project = client.projects.get(PROJECT_PATH)
        seen = len(emulator.requests_seen())

        assert seed(emulator.url, first, HOOK) == first, "known tokens are kept"
        again = emulator.requests_seen()[seen:]
        assert {request["method"] for request in again} == {"GET"}

        assert len(project.commits.list(ref_name="main", get_all=True)) == 1
        assert {entry["path"] for entry in project.repository_tree(get_all=True)} == set(sample_files())
        issues = project.issues.list(get_all=True)
        assert sorted(issue.title for issue in issues) == sorted(sample.title for sample in sample_issues())
        assert {issue.assignees[0]["username"] for issue in issues} == {ENGINEER}
        levels = {member.username: member.access_level for member in project.members.list(get_all=True)}
        assert {name: levels[name] for name in (ENGINEER, SERVICE, WORKER)} == {ENGINEER: 30, SERVICE: 40, WORKER: 30}
        assert [hook.url for hook in project.hooks.list(get_all=True)] == [HOOK]

        for token, name in ((first.service_token, SERVICE), (first.worker_token, WORKER)):
            owner = gitlab.Gitlab(emulator.url, private_token=token)
            owner.auth()
            assert owner.user is not None
            assert owner.user.username == name


def test_a_webhook_to_an_old_address_is_replaced_and_a_lost_token_renewed(tmp_path: Path) -> None:
    with start_emulator(tmp_path) as emulator:
        first = seed(emulator.url, Secrets(ADMIN_TOKEN, "hush"), HOOK)
        moved = HOOK.replace(":9/", ":10/")
        second = seed(emulator.url, Secrets(ADMIN_TOKEN, "hush", "glpat-gone", first.worker_token), moved)
        assert second.worker_token == first.worker_token
        assert second.service_token not in {"", "glpat-gone", first.service_token}
        project = gitlab.Gitlab(emulator.url, private_token=ADMIN_TOKEN).projects.get(PROJECT_PATH)
        assert [hook.url for hook in project.hooks.list(get_all=True)] == [moved]


def test_a_new_issue_is_the_engineers_and_like_the_first(tmp_path: Path) -> None:
    with start_emulator(tmp_path) as emulator:
        known = seed(emulator.url, Secrets(ADMIN_TOKEN, "hush"), HOOK)
        iid = new_issue(emulator.url, known)
        assert iid == len(sample_issues()) + 1
        issue = gitlab.Gitlab(emulator.url, private_token=ADMIN_TOKEN).projects.get(PROJECT_PATH).issues.get(iid)
        assert issue.title == sample_issues()[0].title
        assert issue.assignees[0]["username"] == ENGINEER
