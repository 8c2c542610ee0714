"""Finding what an earlier attempt left behind, so that a second one adopts it instead of doing it again."""

import re
from collections.abc import Collection, Iterable, Mapping

from sagas.ports import Branch, Commit


def own_commit(commits: Iterable[Commit], *, committers: Collection[str], trailers: Mapping[str, str]) -> Commit | None:
    """The first commit with all the trailers whose committer is one of these addresses.

    Anybody may write our trailers into a message; nobody but the service commits as the service's user. `commits` may
    be a lazy walk over pages: it is read only as far as needed, to its end where nothing is found.
    """
    addresses = {address.casefold() for address in committers}
    own = (commit for commit in commits if commit.committer_email.casefold() in addresses)
    return next((commit for commit in own if trailers.items() <= commit.trailers.items()), None)


def of_issue(branches: Iterable[Branch], iid: int) -> tuple[Branch, ...]:
    """Those branches that belong to the issue by name, ours (`issue/7`, `issue/7-…`) and GitLab's (`7-…`), by name."""
    pattern = re.compile(rf"issue/{iid}(-.*)?|{iid}-.*", re.DOTALL)
    unique = {branch.name: branch for branch in branches if pattern.fullmatch(branch.name)}
    return tuple(unique[name] for name in sorted(unique))
