"""Notes on issues and merge requests."""

from gitlab_emulator.api.issues import visible_issue
from gitlab_emulator.api.merge_requests import visible_merge_request
from gitlab_emulator.call import Call, ProjectAccess
from gitlab_emulator.errors import forbidden, not_found, with_error
from gitlab_emulator.events import Happening, announce, note_body
from gitlab_emulator.pagination import list_reply, page_of
from gitlab_emulator.present.issues import note_json
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.routes import ApiRouter
from gitlab_emulator.store.issues import add_note, note_by_id, notes_of
from gitlab_emulator.store.records import Issue, MergeRequest, Note, Role, update
from gitlab_emulator.times import timestamp

router = ApiRouter()
_ISSUE = "/projects/:id/issues/:iid/notes"
_MERGE_REQUEST = "/projects/:id/merge_requests/:iid/notes"


@router.get(_ISSUE)
@router.get(_MERGE_REQUEST)
def list_notes(call: Call) -> Reply:
    """The notes of a subject, newest first unless sorted otherwise."""
    access, subject = _subject(call)
    order = call.params.choice("order_by", ("created_at", "updated_at"), "created_at")
    descending = call.params.choice("sort", ("asc", "desc"), "desc") == "desc"
    with call.services.database.reading() as connection:
        found = [one for one in notes_of(connection, subject) if not one.internal or access.role >= Role.PLANNER]
        found.sort(key=lambda one: (getattr(one, order), one.id), reverse=descending)
        page, headers = page_of(call, found)
        return list_reply([note_json(connection, one, call.base_url) for one in page], headers)


@router.get(_ISSUE + "/:note_id")
@router.get(_MERGE_REQUEST + "/:note_id")
def get_note(call: Call) -> Reply:
    """One note."""
    _, subject = _subject(call)
    with call.services.database.reading() as connection:
        return json_reply(note_json(connection, _note(call, subject), call.base_url))


@router.post(_ISSUE)
@router.post(_MERGE_REQUEST)
def create_note(call: Call) -> Reply:
    """A new note."""
    access, subject = _subject(call)
    if access.role < Role.GUEST and access.project.visibility == "private":
        raise forbidden()
    call.params.require("body")
    body = call.params.text("body")
    if not body.strip():
        raise with_error("body is empty")
    internal = call.params.boolean("internal") or call.params.boolean("confidential")
    with call.services.database.writing() as connection:
        note = add_note(connection, subject, body=body, author_id=call.user.id, internal=internal)
        happening = Happening(access.project, call.user, call.base_url)
        announce(
            connection,
            call.services,
            happening,
            switch="confidential_note_events" if internal else "note_events",
            event="Confidential Note Hook" if internal else "Note Hook",
            body=lambda: note_body(access.repository, happening, note, subject),
        )
        shown = note_json(connection, note, call.base_url)
    call.services.deliveries.wake()
    return created(shown)


@router.put(_ISSUE + "/:note_id")
@router.put(_MERGE_REQUEST + "/:note_id")
def update_note(call: Call) -> Reply:
    """Another text, by the note's author."""
    _, subject = _subject(call)
    note = _own_note(call, subject)
    call.params.require("body", blank=False)
    with call.services.database.writing() as connection:
        update(connection, "notes", note.id, body=call.params.text("body"), updated_at=timestamp())
        return json_reply(note_json(connection, _note(call, subject), call.base_url))


@router.delete(_ISSUE + "/:note_id")
@router.delete(_MERGE_REQUEST + "/:note_id")
def delete_note(call: Call) -> Reply:
    """A note less, by its author."""
    _, subject = _subject(call)
    note = _own_note(call, subject)
    with call.services.database.writing() as connection:
        connection.execute("DELETE FROM notes WHERE id = ?", (note.id,))
    return no_content()


def _subject(call: Call) -> tuple[ProjectAccess, Issue | MergeRequest]:
    return visible_merge_request(call) if "/merge_requests/" in call.raw_path else visible_issue(call)


def _note(call: Call, subject: Issue | MergeRequest) -> Note:
    with call.services.database.reading() as connection:
        note = note_by_id(connection, subject, call.number("note_id"))
    if note is None:
        raise not_found()
    return note


def _own_note(call: Call, subject: Issue | MergeRequest) -> Note:
    note = _note(call, subject)
    if note.author_id != call.user.id and not call.user.is_admin:
        raise forbidden()
    return note
