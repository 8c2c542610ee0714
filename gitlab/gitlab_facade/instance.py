"""What is asked of a GitLab server beside a saga's own work: who somebody is, what he may do, whether the token is good."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date

from gitlab.exceptions import GitlabError

from gitlab_facade import answers
from gitlab_facade.client import Client, ClientPool, Timeouts, Watch
from gitlab_facade.errors import TokenRefusedError, is_missing, is_token_refusal, text_of
from gitlab_facade.throttle import Throttle
from sagas.ids import ProjectId
from sagas.ports import NO_RIGHTS, AccessLevel, Rights, User
from sagas.texts import say


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """The service's token as GitLab describes it; `expires_at` None: it does not expire."""

    name: str
    scopes: tuple[str, ...]
    active: bool
    expires_at: date | None


@dataclass(frozen=True, slots=True)
class ProjectHook:
    """A webhook of a project; GitLab never tells its secret. `alert_status` is `executable` where it works."""

    id: int
    url: str
    push_events: bool
    alert_status: str


class GitLabInstance:
    """One GitLab server, reached with the service's token through a bounded pool of threads."""

    def __init__(
        self, url: str, token: str, *, timeout: Timeouts = (3.05, 30), concurrency: int = 8, watch: Watch | None = None
    ) -> None:
        """`timeout`: seconds to connect and between two bytes; `concurrency`: calls at the same moment; `watch` sees each."""
        self.url = url.rstrip("/")
        self.throttle = Throttle()
        self._pool = ClientPool(
            lambda: Client(self.url, token, timeouts=timeout, throttle=self.throttle, watch=watch),
            concurrency,
            self.throttle,
        )

    async def aclose(self) -> None:
        """Let the calls under way end and close all connections."""
        await self._pool.aclose()

    async def version(self) -> str:
        """GitLab's version, such as `19.3.0`; a good question to learn whether it answers and takes the token."""
        return await self._pool.run(lambda client: str(answers.require_object(client.http_get("/version"))["version"]))

    async def token_info(self) -> TokenInfo:
        """The service's token: scopes and expiry, for whoever has to renew it in time."""
        return await self._pool.run(_token_info)

    async def service_user(self) -> User:
        """The user whom the service's token stands for."""
        return await self._pool.run(lambda client: answers.user(answers.require_object(client.http_get("/user"))))

    async def current_user(self, token: str) -> User:
        """The user whom this token of his stands for; raises TokenRefusedError where GitLab does not accept it."""
        return await self._pool.run(lambda client: _current_user(client, token))

    async def user(self, ref: int | str) -> User | None:
        """A user by numeric id or by username; None where there is no such user, or GitLab lets him in no more."""
        return await self._pool.run(lambda client: _user(client, ref))

    async def rights(self, project: ProjectId, user_id: int, *, external: bool = False) -> Rights:
        """The user's role, inherited ones included, and what it lets him read; GUEST for strangers of an open project.

        To an `external` user only a public project is open.
        """
        shown = {"public"} if external else {"public", "internal"}
        return await self._pool.run(lambda client: _rights(client, project, user_id, shown))

    async def hooks(self, project: ProjectId) -> tuple[ProjectHook, ...]:
        """The project's webhooks; needs Maintainer."""
        return await self._pool.run(lambda client: _hooks(client, project))

    async def create_hook(self, project: ProjectId, url: str, *, secret: str, events: Sequence[str]) -> ProjectHook:
        """Add a webhook for these events (`push_events`, `issues_events`, `merge_requests_events`)."""
        wanted = {"push_events": False} | dict.fromkeys(events, True)
        data = {"url": url, "token": secret, "enable_ssl_verification": True, **wanted}
        return await self._pool.run(
            lambda client: _hook(client.projects.get(project, lazy=True).hooks.create(data).attributes)
        )

    async def delete_hook(self, project: ProjectId, hook_id: int) -> None:
        """Remove a webhook of the project; a missing one is success."""

        def delete(client: Client) -> None:
            try:
                client.projects.get(project, lazy=True).hooks.delete(hook_id)
            except GitlabError as error:
                if not is_missing(error):
                    raise

        await self._pool.run(delete)


def _token_info(client: Client) -> TokenInfo:
    answer = client.personal_access_tokens.get("self").attributes
    expires = answer.get("expires_at")
    return TokenInfo(
        name=str(answer.get("name") or ""),
        scopes=tuple(answer.get("scopes") or ()),
        active=bool(answer.get("active", not answer.get("revoked"))),
        expires_at=date.fromisoformat(expires[:10]) if expires else None,
    )


def _current_user(client: Client, token: str) -> User:
    try:
        user = answers.user(client.user_behind(token))
        scopes = client.scopes_of(token)
    except GitlabError as error:
        if is_token_refusal(error):
            raise TokenRefusedError(say("GitLab does not accept this token: {error}", error=text_of(error))) from error
        raise
    # What a token may not do at GitLab itself, it may not do through this service's own token either.
    if not scopes & {"api", "read_api"}:
        named = ", ".join(sorted(scopes)) or "none"
        raise TokenRefusedError(
            say("The token's scopes are too small ({named}): `api` is needed, `read_api` to only look", named=named)
        )
    return replace(user, read_only="api" not in scopes)


def _user(client: Client, ref: int | str) -> User | None:
    if isinstance(ref, str):
        found = client.users.list(username=ref, page=1)
        return next((answers.user(user.attributes) for user in found if _is_let_in(user.attributes)), None)
    try:
        told = client.users.get(ref).attributes
        return answers.user(told) if _is_let_in(told) else None
    except GitlabError as error:
        if is_missing(error, "User"):
            return None
        raise


def _is_let_in(user: answers.Answer) -> bool:
    """Whether GitLab would: a blocked, banned or deactivated user keeps his memberships."""
    return bool(user.get("state", "active") == "active")


def _rights(client: Client, project: ProjectId, user_id: int, shown: Collection[str]) -> Rights:
    """By GitLab's table of permissions: below Reporter, the code is for those to whom the project shows it anyway."""
    try:
        member = client.projects.get(project, lazy=True).members_all.get(user_id).attributes
        level = max(level for level in AccessLevel if level <= int(member["access_level"]))
    except GitlabError as error:
        if is_missing(error, "Project"):
            return NO_RIGHTS
        if not (is_missing(error) or is_missing(error, "Member", "User")):
            raise
        level = AccessLevel.NONE
    if level >= AccessLevel.REPORTER:
        return Rights(level, code=True, issues=True)
    return _rights_below_reporter(client, project, level, shown)


_SHOWN_BY_SAGAS = ("repository", "merge_requests")
"""A saga and its journal tell of both: whoever may not see one of them in GitLab sees no saga."""


def _rights_below_reporter(client: Client, project: ProjectId, level: AccessLevel, shown: Collection[str]) -> Rights:
    try:
        told = client.projects.get(project).attributes
    except GitlabError as error:
        if is_missing(error, "Project"):
            return NO_RIGHTS
        raise
    is_open, is_member = told.get("visibility") in shown, level > AccessLevel.NONE
    if not is_open and not is_member:
        return NO_RIGHTS
    # "private" here means: for members only, whatever the project's own visibility.
    issues = {"enabled", "private"} if is_member else {"enabled"}
    return Rights(
        max(level, AccessLevel.GUEST),
        code=is_open and all(told.get(f"{part}_access_level", "enabled") == "enabled" for part in _SHOWN_BY_SAGAS),
        issues=told.get("issues_access_level", "enabled") in issues,
    )


def _hooks(client: Client, project: ProjectId) -> tuple[ProjectHook, ...]:
    listed = client.projects.get(project, lazy=True).hooks.list(get_all=True)
    return tuple(_hook(hook.attributes) for hook in listed)


def _hook(answer: answers.Answer) -> ProjectHook:
    return ProjectHook(
        id=int(answer["id"]),
        url=str(answer["url"]),
        push_events=bool(answer.get("push_events")),
        alert_status=str(answer.get("alert_status") or "executable"),
    )
