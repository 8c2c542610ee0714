"""git clone, fetch and push over HTTP: the stateless RPC of `upload-pack` and `receive-pack`, streamed both ways."""

import asyncio
import re
import uuid
import zlib
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from gitlab_emulator.call import Identity, ProjectAccess, Services, find_project, may_read_code
from gitlab_emulator.errors import ApiError
from gitlab_emulator.events import Happening
from gitlab_emulator.git.process import git_environment
from gitlab_emulator.git.repository import RefChange
from gitlab_emulator.push import NO_FORCE_PUSH, after_push, must_not_force, refusal
from gitlab_emulator.store.records import Role

UPLOAD = "git-upload-pack"
RECEIVE = "git-receive-pack"
_PATH = re.compile(r"^/(?P<project>[^/]+(?:/[^/]+)+?)/(?P<rest>info/refs|git-upload-pack|git-receive-pack)$")
_COMMAND = re.compile(rb"^(?P<old>[0-9a-f]{40}) (?P<new>[0-9a-f]{40}) (?P<ref>[^\0\n]+)")
_READ_SCOPES = frozenset({"api", "read_repository", "write_repository"})
_WRITE_SCOPES = frozenset({"api", "write_repository"})
_MAX_COMMANDS_BYTES = 4 << 20
_NO_CACHE = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "Pragma": "no-cache"}
_DENIED = (
    "HTTP Basic: Access denied. If a password was provided for Git authentication, the password was incorrect or "
    "you're required to use a token instead of a password. If a token was provided, it was either incorrect, "
    "expired, or improperly scoped. See {base_url}/help/topics/git/troubleshooting_git.md"
)
_NO_PROJECT = "The project you were looking for could not be found or you don't have permission to view it."

PRE_RECEIVE = """\
#!/bin/sh
# The verdict on each ref is in the environment; only history needs the pushed objects, which only a hook sees.
if [ -n "$EMULATOR_REFUSAL" ]; then
    echo "GitLab: $EMULATOR_REFUSAL" >&2
    exit 1
fi
while read -r old new ref; do
    case "$EMULATOR_FAST_FORWARD_ONLY" in
    *"
$ref
"*)
        if ! git merge-base --is-ancestor "$old" "$new"; then
            echo "GitLab: $EMULATOR_NO_FORCE_PUSH" >&2
            exit 1
        fi
        ;;
    esac
done
"""
POST_RECEIVE = """\
#!/bin/sh
exec cat > "$EMULATOR_PUSH_REPORT"
"""


@dataclass(frozen=True)
class GitRequest:
    """What a git client wants of which project."""

    project_path: str
    service: str
    advertise: bool


def git_request(path: str, query_service: str | None) -> GitRequest | None:
    """The git request of a decoded path, None when it is none."""
    found = _PATH.match(path)
    if found is None:
        return None
    project = found["project"].removesuffix(".git")
    if found["rest"] != "info/refs":
        return GitRequest(project, found["rest"], advertise=False)
    if query_service not in (UPLOAD, RECEIVE):
        return None
    return GitRequest(project, query_service, advertise=True)


def install_hooks(directory: Path) -> None:
    """Write the hooks that every repository runs."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in (("pre-receive", PRE_RECEIVE), ("post-receive", POST_RECEIVE)):
        hook = directory / name
        hook.write_text(text)
        hook.chmod(0o755)


def denied(base_url: str) -> Response:
    """401 that makes git ask for a name and a password."""
    return PlainTextResponse(
        _DENIED.format(base_url=base_url), 401, headers={"WWW-Authenticate": 'Basic realm="GitLab"'}
    )


def authorize(
    services: Services, wanted: GitRequest, identity: Identity | None, base_url: str
) -> ProjectAccess | Response:
    """The project the caller may use in the wanted way, or the refusal."""
    access = find_project(services, wanted.project_path, identity.user if identity else None)
    writing = wanted.service == RECEIVE
    if identity is None:
        public = access is not None and access.project.visibility == "public"
        return access if access is not None and public and not writing else denied(base_url)
    scopes = set(identity.token.scopes)
    if not scopes & _READ_SCOPES:
        return denied(base_url)
    if access is None:
        return PlainTextResponse(_NO_PROJECT, 404)
    if not may_read_code(access):
        return PlainTextResponse("You are not allowed to download code from this project.", 403)
    if writing and not scopes & _WRITE_SCOPES:
        return PlainTextResponse("You are not allowed to upload code.", 403)
    if writing and access.role < Role.DEVELOPER:
        return PlainTextResponse("You are not allowed to push code to this project.", 403)
    return access


async def serve_git(
    services: Services,
    request: Request,
    wanted: GitRequest,
    access: ProjectAccess,
    identity: Identity | None,
    base_url: str,
) -> Response:
    """Answer an authorized git request."""
    protocol = request.headers.get("git-protocol", "")
    if wanted.advertise:
        return await _advertise(services, wanted, access, protocol)
    body = _decoded(request)
    if wanted.service == UPLOAD:
        # A fetch asks in few bytes. They are taken in first: a streaming answer listens on the same channel for the end.
        asked = b"".join([chunk async for chunk in body])
        process = await _start(services, wanted.service, access, protocol, ())
        return StreamingResponse(_stream(process, asked), media_type=_result_type(wanted), headers=_NO_CACHE)
    assert identity is not None
    answer = await _push(services, access, Happening(access.project, identity.user, base_url), body, protocol)
    return Response(answer, media_type=_result_type(wanted), headers=_NO_CACHE)


async def _push(
    services: Services, access: ProjectAccess, happening: Happening, body: AsyncIterator[bytes], protocol: str
) -> bytes:
    """Feed a push to git, with the verdict on its refs; git's answer, once everything that follows is done."""
    head, changes = await _commands(body)
    refused, forced_refs = await asyncio.to_thread(_judge, services, access, changes)
    report = services.scratch / f"push-{uuid.uuid4().hex}"
    environment = {
        "EMULATOR_REFUSAL": refused or "",
        "EMULATOR_FAST_FORWARD_ONLY": "\n" + "".join(f"{ref}\n" for ref in forced_refs),
        "EMULATOR_NO_FORCE_PUSH": NO_FORCE_PUSH,
        "EMULATOR_PUSH_REPORT": str(report),
    }
    process = await _start(services, RECEIVE, access, protocol, (), environment)
    feeding = asyncio.create_task(_feed(process, body, head))
    assert process.stdout is not None
    answer = await process.stdout.read()
    await process.wait()
    feeding.cancel()
    # Before the client hears its end: its next read must see what follows from the push.
    await asyncio.to_thread(_settle, services, access, happening, report)
    return answer


def _settle(services: Services, access: ProjectAccess, happening: Happening, report: Path) -> None:
    """Read the report of the post-receive hook, which names the refs that really moved, and tell everybody."""
    try:
        lines = report.read_text().splitlines()
    except FileNotFoundError:
        return
    report.unlink(missing_ok=True)
    after_push(services, happening, access.repository, [RefChange(*line.split(" ", 2)) for line in lines])


def _result_type(wanted: GitRequest) -> str:
    return f"application/x-{wanted.service}-result"


def _judge(services: Services, access: ProjectAccess, changes: list[RefChange]) -> tuple[str | None, list[str]]:
    with services.database.reading() as connection:
        refusals = (refusal(connection, access, change, web=False) for change in changes)
        forced = [change.ref for change in changes if must_not_force(connection, access, change)]
        return next((text for text in refusals if text), None), forced


async def _advertise(services: Services, wanted: GitRequest, access: ProjectAccess, protocol: str) -> Response:
    process = await _start(services, wanted.service, access, protocol, ("--advertise-refs",))
    out, _ = await process.communicate()
    if process.returncode != 0:
        return PlainTextResponse("git failed", 500)
    line = f"# service={wanted.service}\n"
    # Protocol version 2 has no service line (gitprotocol-http).
    greeting = (
        b"" if "version=2" in protocol and wanted.service == UPLOAD else f"{len(line) + 4:04x}{line}0000".encode()
    )
    return Response(greeting + out, media_type=f"application/x-{wanted.service}-advertisement", headers=_NO_CACHE)


async def _start(
    services: Services,
    service: str,
    access: ProjectAccess,
    protocol: str,
    options: tuple[str, ...],
    environment: dict[str, str] | None = None,
) -> Process:
    settings = {
        "core.hooksPath": str(services.hooks_path),
        "receive.autogc": "false",
        "uploadpack.allowFilter": "true",
        "uploadpack.allowAnySHA1InWant": "true",
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return await asyncio.create_subprocess_exec(
        "git",
        *flags,
        service.removeprefix("git-"),
        "--stateless-rpc",
        *options,
        str(access.repository.path),
        stdin=PIPE,
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=git_environment() | {"GIT_PROTOCOL": protocol} | (environment or {}),
    )


async def _stream(process: Process, asked: bytes) -> AsyncIterator[bytes]:
    feeding = asyncio.create_task(_feed(process, None, asked))
    assert process.stdout is not None
    try:
        while chunk := await process.stdout.read(1 << 16):
            yield chunk
        await process.wait()
    finally:
        feeding.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _feed(process: Process, body: AsyncIterator[bytes] | None, head: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(head)
        await process.stdin.drain()
        if body is not None:
            async for chunk in body:
                process.stdin.write(chunk)
                await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        return
    except ClientDisconnect:
        # Half a request must not become half a push.
        process.kill()


async def _decoded(request: Request) -> AsyncIterator[bytes]:
    """The body, unpacked where the client packed it."""
    if request.headers.get("content-encoding", "").lower() not in ("gzip", "x-gzip"):
        async for chunk in request.stream():
            yield chunk
        return
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    async for chunk in request.stream():
        yield unpack.decompress(chunk)
    yield unpack.flush()


async def _commands(body: AsyncIterator[bytes]) -> tuple[bytes, list[RefChange]]:
    """What was read to find the ref updates at the head of a push (gitprotocol-pack), and these updates."""
    read = b""
    async for chunk in body:
        read += chunk
        changes = _parse_commands(read)
        if changes is not None:
            return read, changes
        if len(read) > _MAX_COMMANDS_BYTES:
            raise ApiError(413, {"message": "413 Request Entity Too Large"})
    return read, []


def _parse_commands(data: bytes) -> list[RefChange] | None:
    """The updates up to the flush packet, None while it has not come."""
    changes: list[RefChange] = []
    at = 0
    while at + 4 <= len(data):
        try:
            length = int(data[at : at + 4], 16)
        except ValueError:
            return []
        if length == 0:
            return changes
        if at + length > len(data):
            return None
        found = _COMMAND.match(data[at + 4 : at + length])
        if found:
            ref = found["ref"].decode("utf-8", "surrogateescape")
            changes.append(RefChange(found["old"].decode(), found["new"].decode(), ref))
        at += max(length, 4)
    return None
