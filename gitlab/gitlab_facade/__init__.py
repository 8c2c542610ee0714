"""The facade over GitLab: the Forge port, identity and webhooks, in our own dataclasses and errors."""

from gitlab_facade.errors import TokenRefusedError
from gitlab_facade.facade import GitLabFacade
from gitlab_facade.instance import ProjectHook, TokenInfo

__all__ = ["GitLabFacade", "ProjectHook", "TokenInfo", "TokenRefusedError"]
