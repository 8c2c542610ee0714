"""GitLab's addresses as a label: the words of its API stay, everything else (ids, paths, branches, files) becomes `:x`."""

from urllib.parse import urlsplit

from app.telemetry.metrics import OTHER

_WORDS = frozenset(
    {
        "access_tokens",
        "all",
        "branches",
        "commits",
        "files",
        "hooks",
        "issues",
        "members",
        "merge_base",
        "merge_requests",
    }
    | {"personal_access_tokens", "projects", "protected_branches", "raw", "repository", "self", "tree", "user", "users"}
    | {"version"}
)
_LONGEST = 7


def route_of(path: str) -> str:
    """The route of a request by its path; few enough to count by, whatever the path."""
    whole = urlsplit(path).path
    before, api, rest = whole.partition("/api/v4/")
    if not api:
        return "/oauth/token/info" if before.endswith("/oauth/token/info") else OTHER
    parts = rest.strip("/").split("/")
    if len(parts) > _LONGEST:
        return OTHER
    return "/" + "/".join(part if part in _WORDS else ":x" for part in parts)
