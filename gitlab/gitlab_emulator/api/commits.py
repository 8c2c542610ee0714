"""Reading commits."""

from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.errors import not_found, with_message
from gitlab_emulator.git.diffs import commit_diff
from gitlab_emulator.git.history import CommitQuery, list_commits
from gitlab_emulator.git.objects import Commit
from gitlab_emulator.git.repository import HEADS, TAGS
from gitlab_emulator.pagination import (
    list_reply,
    page_of,
    refuse_keyset,
    requested_page,
    uncounted_headers,
)
from gitlab_emulator.present import Json
from gitlab_emulator.present.commits import commit_detail, commits_json, diff_json
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.replies import Reply, json_reply
from gitlab_emulator.routes import CODE_SCOPES, ApiRouter
from gitlab_emulator.store.issues import Where, commit_statuses
from gitlab_emulator.store.merge_requests import find_merge_requests

router = ApiRouter()


@router.get("/projects/:id/repository/commits", scopes=CODE_SCOPES)
def get_commits(call: Call) -> Reply:
    """The commits of a branch, a range or the default branch, never counted."""
    access = call.code()
    refuse_keyset(call)
    params, page = call.params, requested_page(call)
    revisions = _revisions(call, access)
    found: list[Commit] = []
    if revisions:
        query = CommitQuery(
            revisions,
            path=params.text("path").strip("/"),
            since=params.time("since") or "",
            until=params.time("until") or "",
            author=params.text("author"),
            first_parent=params.boolean("first_parent"),
            topological=params.choice("order", ("default", "topo"), "default") == "topo",
            follow=params.boolean("follow", default=True),
            skip=page.offset,
            limit=page.size,
        )
        found = list_commits(access.repository, query)
    shown = commits_json(
        access.repository,
        found,
        project_url(access.project, call.base_url),
        trailers=params.boolean("trailers"),
        stats=params.boolean("with_stats"),
    )
    # A page that is exactly full announces a next one, which may turn out empty: GitLab does not look further.
    return list_reply(shown, uncounted_headers(call, page, more=len(found) == page.size))


@router.get("/projects/:id/repository/commits/:sha", scopes=CODE_SCOPES)
def get_commit(call: Call) -> Reply:
    """One commit, by sha, short sha, branch or tag."""
    access = call.code()
    commit = existing_commit(access, call.path["sha"])
    return json_reply(detail_json(call, access, commit, stats=call.params.boolean("stats", default=True)))


@router.get("/projects/:id/repository/commits/:sha/diff", scopes=CODE_SCOPES)
def get_diff(call: Call) -> Reply:
    """What a commit changed."""
    access = call.code()
    commit = existing_commit(access, call.path["sha"])
    page, headers = page_of(call, commit_diff(access.repository, commit))
    return list_reply([diff_json(change) for change in page], headers)


@router.get("/projects/:id/repository/commits/:sha/refs", scopes=CODE_SCOPES)
def get_refs(call: Call) -> Reply:
    """Branches and tags that contain a commit; never counted."""
    access = call.code()
    commit = existing_commit(access, call.path["sha"])
    kind = call.params.choice("type", ("branch", "tag", "all"), "all")
    found: list[Json] = []
    for name, prefix in (("branch", HEADS), ("tag", TAGS)):
        if kind in (name, "all"):
            out = access.repository.git("for-each-ref", f"--contains={commit.id}", "--format=%(refname)", prefix)
            found += [{"type": name, "name": line.removeprefix(prefix)} for line in out.decode().splitlines()]
    page = requested_page(call)
    shown = found[page.offset : page.offset + page.size]
    return list_reply(shown, uncounted_headers(call, page, more=page.offset + page.size < len(found)))


@router.get("/projects/:id/repository/commits/:sha/sequence", scopes=CODE_SCOPES)
def get_sequence(call: Call) -> Reply:
    """How many commits lead to this one, itself included."""
    access = call.code()
    commit = existing_commit(access, call.path["sha"])
    options = ["--first-parent"] if call.params.boolean("first_parent") else []
    return json_reply({"count": int(access.repository.git("rev-list", "--count", *options, commit.id))})


@router.get("/projects/:id/repository/commits/:sha/merge_requests")
def get_merge_requests(call: Call) -> Reply:
    """Merge requests whose head or merge commit this is."""
    access = call.code()
    commit = existing_commit(access, call.path["sha"])
    where = Where().also("project_id = ?", access.project.id)
    where = where.also("(head_sha = ? OR merge_commit_sha = ?)", commit.id, commit.id)
    with call.services.database.reading() as connection:
        found, _ = find_merge_requests(connection, where, order="id", limit=100, offset=0)
    page, headers = page_of(call, [{"id": one.id, "iid": one.iid, "project_id": one.project_id} for one in found])
    return list_reply(page, headers)


def existing_commit(access: ProjectAccess, name: str) -> Commit:
    """The commit of a sha, short sha, branch or tag; 404 when there is none."""
    commit_id = access.repository.resolve(name)
    if commit_id is None:
        raise not_found("Commit")
    return access.repository.commit(commit_id)


def detail_json(call: Call, access: ProjectAccess, commit: Commit, *, stats: bool) -> Json:
    """A commit with its newest external status."""
    with call.services.database.reading() as connection:
        statuses = commit_statuses(connection, access.project.id, commit.id)
    return commit_detail(
        access.repository,
        commit,
        project_url(access.project, call.base_url),
        project_id=access.project.id,
        status=statuses[-1].state if statuses else None,
        stats=stats,
    )


def _revisions(call: Call, access: ProjectAccess) -> tuple[str, ...]:
    """The ids that stand for `ref_name`; empty when there is nothing to list."""
    repository = access.repository
    if call.params.boolean("all"):
        return ("--branches", "--tags") if repository.branches() else ()
    name = call.params.optional_text("ref_name") or repository.default_branch()
    if name.startswith("-") or any(character.isspace() for character in name):
        raise with_message(400, "ref_name is invalid")
    base, dots, tip = name.partition("..")
    if not dots:
        commit = repository.resolve(name)
        return (commit,) if commit else ()
    ends = [repository.resolve(part or repository.default_branch()) for part in (base, tip.removeprefix("."))]
    if ends[0] is None or ends[1] is None:
        return ()
    return (f"{ends[0]}...{ends[1]}",) if tip.startswith(".") else (ends[1], f"^{ends[0]}")
