"""The kind of router that the parts of the API fill."""

from collections.abc import Callable

from gitlab_emulator.call import Call
from gitlab_emulator.replies import Reply
from gitlab_emulator.routing import Router

Handler = Callable[[Call], Reply]
ApiRouter = Router[Handler]
CODE_SCOPES = frozenset({"read_repository"})
"""Reads of repository content are open to tokens that may only read code."""
