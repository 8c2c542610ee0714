"""The instance: version and metadata."""

from gitlab_emulator.call import Call
from gitlab_emulator.replies import Reply, json_reply
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.version import REVISION, VERSION

router = ApiRouter()
_SCOPES = frozenset({"read_user", "ai_features"})


@router.get("/version", scopes=_SCOPES)
def version(call: Call) -> Reply:
    """`GET /version`."""
    _ = call.user
    return json_reply({"version": VERSION, "revision": REVISION})


@router.get("/metadata", scopes=_SCOPES)
def metadata(call: Call) -> Reply:
    """`GET /metadata`."""
    _ = call.user
    kas = {"enabled": False, "externalUrl": None, "externalK8sProxyUrl": None, "version": None}
    return json_reply({"version": VERSION, "revision": REVISION, "kas": kas, "enterprise": False})
