"""Trees, blobs, comparisons and merge bases."""

import base64

from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.errors import not_found, refused
from gitlab_emulator.git.diffs import diff_trees
from gitlab_emulator.git.history import CommitQuery, list_commits, merge_base
from gitlab_emulator.git.objects import TREE_MODE, TreeEntry
from gitlab_emulator.git.repository import Repository
from gitlab_emulator.pagination import keyset_headers, list_reply, page_of, page_size
from gitlab_emulator.present import Json
from gitlab_emulator.present.commits import commit_json, diff_json
from gitlab_emulator.present.projects import project_url
from gitlab_emulator.replies import Reply, json_reply
from gitlab_emulator.routes import CODE_SCOPES, ApiRouter

router = ApiRouter()


@router.get("/projects/:id/repository/tree", scopes=CODE_SCOPES)
def get_tree(call: Call) -> Reply:
    """What stands in a directory, directories first."""
    access = call.code()
    repository = access.repository
    path = call.params.text("path").strip("/")
    commit = repository.resolve(call.params.optional_text("ref") or repository.default_branch())
    if commit is None:
        raise not_found("Tree")
    root = repository.entry(commit, path)
    if root is None or root.mode != TREE_MODE:
        raise not_found("invalid revision or path")
    entries = _entries(repository, root.id, path, recursive=call.params.boolean("recursive"))
    kind = call.params.choice("pagination", ("legacy", "keyset", "none"), "legacy")
    if kind == "keyset":
        return _keyset_page(call, entries)
    page, headers = (entries, {}) if kind == "none" else page_of(call, entries)
    return list_reply(page, headers)


@router.get("/projects/:id/repository/blobs/:sha", scopes=CODE_SCOPES)
def get_blob(call: Call) -> Reply:
    """A blob in JSON."""
    data = _blob(call, call.code())
    content = base64.b64encode(data).decode()
    return json_reply({"size": len(data), "encoding": "base64", "content": content, "sha": call.path["sha"]})


@router.get("/projects/:id/repository/blobs/:sha/raw", scopes=CODE_SCOPES)
def get_raw_blob(call: Call) -> Reply:
    """A blob's bytes."""
    return Reply(200, _blob(call, call.code()), "application/octet-stream")


@router.get("/projects/:id/repository/merge_base", scopes=CODE_SCOPES)
def get_merge_base(call: Call) -> Reply:
    """The common ancestor of two or more refs."""
    access = call.code()
    call.params.require("refs")
    refs = call.params.texts("refs")
    if len(refs) < 2:
        raise refused("Provide at least 2 refs")
    commits = []
    for ref in refs:
        commit = access.repository.resolve(ref)
        if commit is None:
            raise refused(f"Could not find ref: {ref}")
        commits.append(commit)
    base = merge_base(access.repository, *commits)
    if base is None:
        raise not_found("Merge Base")
    return json_reply(commit_json(access.repository.commit(base), project_url(access.project, call.base_url)))


@router.get("/projects/:id/repository/compare", scopes=CODE_SCOPES)
def compare(call: Call) -> Reply:
    """Two refs: from their merge base unless `straight`."""
    access = call.code()
    call.params.require("from", "to")
    names = call.params.text("from"), call.params.text("to")
    repository = access.repository
    ends = [repository.resolve(name) for name in names]
    if ends[0] is None or ends[1] is None:
        raise not_found("Ref")
    start, end = ends[0], ends[1]
    base = start if call.params.boolean("straight") else merge_base(repository, start, end) or start
    web_url = project_url(access.project, call.base_url)
    commits = list(reversed(list_commits(repository, CommitQuery((end, f"^{start}")))))
    shown = [commit_json(commit, web_url) for commit in commits]
    dots = ".." if call.params.boolean("straight") else "..."
    return json_reply(
        {
            "commit": shown[-1] if shown else None,
            "commits": shown,
            "diffs": [diff_json(change) for change in diff_trees(repository, base, end)],
            "compare_timeout": False,
            "compare_same_ref": start == end,
            "web_url": f"{web_url}/-/compare/{names[0]}{dots}{names[1]}",
        }
    )


def _blob(call: Call, access: ProjectAccess) -> bytes:
    data = access.repository.blob(call.path["sha"])
    if data is None:
        raise not_found("Blob")
    return data


def _entries(repository: Repository, tree: str, path: str, *, recursive: bool) -> list[Json]:
    entries = sorted(repository.tree(tree), key=_directories_first)
    shown: list[Json] = []
    for entry in entries:
        place = f"{path}/{entry.name}" if path else entry.name
        shown.append({"id": entry.id, "name": entry.name, "type": entry.kind, "path": place, "mode": entry.mode})
    if recursive:
        for entry in entries:
            if entry.mode == TREE_MODE:
                place = f"{path}/{entry.name}" if path else entry.name
                shown += _entries(repository, entry.id, place, recursive=True)
        shown.sort(key=lambda one: one["type"] != "tree")
    return shown


def _directories_first(entry: TreeEntry) -> tuple[bool, str]:
    return entry.mode != TREE_MODE, entry.name


def _keyset_page(call: Call, entries: list[Json]) -> Reply:
    """Pages that follow the id of the last entry seen."""
    token = call.params.text("page_token")
    start = next((index + 1 for index, one in enumerate(entries) if one["id"] == token), 0) if token else 0
    size = page_size(call)
    page = entries[start : start + size]
    following = {"page_token": str(page[-1]["id"])} if len(page) == size and start + size < len(entries) else {}
    return list_reply(page, keyset_headers(call, **following))
