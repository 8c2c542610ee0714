"""Pipelines, of which there are none, and external statuses of commits."""

from gitlab_emulator.api.commits import existing_commit
from gitlab_emulator.call import Call
from gitlab_emulator.errors import forbidden, not_found, with_error
from gitlab_emulator.pagination import list_reply, page_of
from gitlab_emulator.present import Json
from gitlab_emulator.present.people import someone
from gitlab_emulator.replies import Reply, created
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.issues import commit_statuses, set_commit_status
from gitlab_emulator.store.records import CommitStatus, Role

router = ApiRouter()
_STATES = ("pending", "running", "success", "failed", "canceled", "skipped")


@router.get("/projects/:id/pipelines")
def list_pipelines(call: Call) -> Reply:
    """Nothing here runs pipelines."""
    call.code()
    return list_reply((), page_of(call, ())[1])


@router.get("/projects/:id/pipelines/latest")
def latest_pipeline(call: Call) -> Reply:
    """403 is what GitLab answers when there is none."""
    call.code()
    raise forbidden()


@router.get("/projects/:id/pipelines/:pipeline_id")
def get_pipeline(call: Call) -> Reply:
    """There is none."""
    call.code()
    raise not_found()


@router.get("/projects/:id/merge_requests/:iid/pipelines")
def list_merge_request_pipelines(call: Call) -> Reply:
    """There are none."""
    call.code()
    return list_reply((), page_of(call, ())[1])


@router.get("/projects/:id/repository/commits/:sha/statuses")
def list_statuses(call: Call) -> Reply:
    """The external statuses of a commit."""
    access = call.code()
    commit = existing_commit(access, call.path["sha"])
    with call.services.database.reading() as connection:
        shown = [
            _json(one, someone(connection, one.author_id, call.base_url))
            for one in commit_statuses(connection, access.project.id, commit.id)
        ]
    page, headers = page_of(call, shown)
    return list_reply(page, headers)


@router.post("/projects/:id/statuses/:sha")
def create_status(call: Call) -> Reply:
    """Set an external status of a commit."""
    access = call.project(Role.DEVELOPER)
    call.params.require("state")
    state = call.params.text("state")
    if state not in _STATES:
        raise with_error("state does not have a valid value")
    commit = existing_commit(access, call.path["sha"])
    with call.services.database.writing() as connection:
        status = set_commit_status(
            connection,
            project_id=access.project.id,
            sha=commit.id,
            name=call.params.text("name") or call.params.text("context", "default"),
            state=state,
            ref=call.params.optional_text("ref"),
            target_url=call.params.optional_text("target_url"),
            description=call.params.optional_text("description"),
            author_id=call.user.id,
        )
        author = someone(connection, call.user.id, call.base_url)
    return created(_json(status, author))


def _json(status: CommitStatus, author: Json | None) -> Json:
    return {
        "id": status.id,
        "sha": status.sha,
        "ref": status.ref,
        "status": status.state,
        "name": status.name,
        "target_url": status.target_url,
        "description": status.description,
        "created_at": status.created_at,
        "author": author,
        "allow_failure": False,
    }
