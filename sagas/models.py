"""The tables: SQLModel declares them, Alembic reads them here; the statements that use them stand in `store/`.

Times are the database's (`clock_timestamp()`), never a process's. Nothing here needs more than PostgreSQL 14.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeDecorator, UserDefinedType
from sqlmodel import Field, SQLModel

from sagas.vocabulary import EventType, SagaStatus, SignalKind, TaskStatus, Wanted

__all__ = [
    "ArchivedSaga",
    "CalculationTask",
    "Draft",
    "EventType",
    "IdempotencyRecord",
    "ReturnedSaga",
    "Saga",
    "SagaDefinitionRow",
    "SagaEvent",
    "SagaRow",
    "SagaStatus",
    "Signal",
    "SignalKind",
    "TaskStatus",
    "Wanted",
    "metadata",
]

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Xid8(UserDefinedType[str]):
    """PostgreSQL's 64-bit transaction id; asyncpg knows it as text only, so it is read by casting."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        """The type's name in DDL."""
        return "xid8"


E = TypeVar("E", bound=StrEnum)


class EnumText(TypeDecorator[E]):
    """A StrEnum stored as text: new members need no migration, and reads give the enum back."""

    impl = Text
    cache_ok = True

    def __init__(self, enum: type[E]) -> None:
        self.enum = enum
        super().__init__()

    def process_result_value(self, value: str | None, dialect: object) -> E | None:
        """Text from the database as a member of the enum."""
        return None if value is None else self.enum(value)


def _timestamp(*, nullable: bool = True, now: bool = False) -> Any:
    default = text("clock_timestamp()") if now else None
    return Column(DateTime(timezone=True), nullable=nullable, server_default=default)


def _jsonb(*, nullable: bool = False, default: str | None = "{}") -> Any:
    server_default = None if default is None or nullable else text(f"'{default}'::jsonb")
    return Column(JSONB, nullable=nullable, server_default=server_default)


class SagaDefinitionRow(SQLModel, table=True):
    """A definition as it was when sagas began under it: chart and catalogue slice, as canonical JSON."""

    __tablename__ = "saga_definition"
    metadata = metadata
    __table_args__ = (UniqueConstraint("name", "hash"),)

    name: str = Field(sa_column=Column(Text, primary_key=True))
    version: int = Field(sa_column=Column(Integer, primary_key=True))
    hash: str = Field(sa_column=Column(Text, nullable=False))
    document: dict[str, Any] = Field(sa_column=_jsonb(default=None))
    created_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))


@dataclass(slots=True, kw_only=True)
class Saga:
    """One running instance, as a row of `SagaRow`; `context` holds names, hashes, blob ids and a summary per step.

    A plain object and no SQLModel: the engine makes three for each transition, and a mapped one costs thirty times as much.
    """

    id: UUID
    definition_name: str
    definition_version: int
    state: str
    visit: int
    """The n-th entry into `state`; with it the effect key."""
    attempts: int = 0
    """Failed attempts of this visit so far."""
    status: SagaStatus
    version: int
    """The version of the newest event."""
    context: dict[str, Any] = field(default_factory=dict)
    project_id: int
    project_path: str
    issue_iid: int | None = None
    branch: str
    writes: list[str] = field(default_factory=list)
    """The calculations whose files this saga may write: two live sagas never share one on a branch."""
    natural_key: str
    """What makes two requests without a key the same while the saga lives."""
    started_by_id: int
    started_by: dict[str, Any]
    """The user who started it: {id, username, name, email, avatarUrl}."""
    due_at: datetime | None = None
    """When an engine must look at it; while leased, the lease's end; None: nothing to do until a signal."""
    lease_token: UUID | None = None
    look_at: datetime | None = None
    """When the watcher looks at GitLab and the result backend for a waiting saga."""
    look_interval_s: float = 2.0
    deadline_at: datetime | None = None
    next_attempt_at: datetime | None = None
    waiting_since: datetime | None = None
    signals: int = 0
    signals_seen: int = 0
    wanted: Wanted | None = None
    wanted_by: dict[str, Any] | None = None
    """Who wants it and how: {actor, compensate?, reason?}."""
    error: dict[str, Any] | None = None
    """{code, message, retryable, occurredAt}."""
    traceparent: str | None = None
    """The trace of the latest command, where somebody traces: what the saga does next is part of it (`sagas.trace`)."""
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None


class SagaRow(SQLModel, table=True):
    """The table of sagas. Code works with `Saga`, which says what the columns mean.

    From one running step to the next no indexed column changes (`Change.go_on`), so the new version goes to the same
    page, where the fill factor leaves room, and no index gets an entry. The others change `due_at` or the status.
    """

    __tablename__ = "saga"
    metadata = metadata
    __table_args__ = (
        ForeignKeyConstraint(
            ["definition_name", "definition_version"], ["saga_definition.name", "saga_definition.version"]
        ),
        CheckConstraint("version >= 1", name="version_positive"),
        # The claim: only rows that somebody must wake are in it; a parked or finished saga costs nothing.
        Index("ix_saga_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_saga_look", "look_at", postgresql_where=text("look_at IS NOT NULL")),
        Index(
            "ix_saga_live_branch",
            "project_id",
            "branch",
            postgresql_where=text("status NOT IN ('COMPLETED', 'CANCELLED')"),
        ),
        # What nobody will wake; empty while the engine keeps its promises, and so free to keep and to ask.
        Index(
            "ix_saga_unwoken",
            "updated_at",
            postgresql_where=text("due_at IS NULL AND status IN ('RUNNING', 'AWAITING_RESULT', 'CANCELLING')"),
        ),
        # Each kind of list has its order in an index: a page never sorts more than it shows.
        # With the definition in it, a project's sagas are counted without looking at them.
        Index(
            "ix_saga_project_created",
            "project_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_include=["definition_name"],
        ),
        Index("ix_saga_path_created", "project_path", text("created_at DESC"), text("id DESC")),
        Index(
            "ix_saga_starter_created",
            "started_by_id",
            text("created_at DESC"),
            text("id DESC"),
            postgresql_include=["definition_name", "project_id"],
        ),
        Index("ix_saga_issue_created", "project_id", "issue_iid", text("created_at DESC"), text("id DESC")),
        # What the archive takes next.
        Index("ix_saga_finished", "definition_name", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        {
            "postgresql_with": {
                "fillfactor": "70",
                # Dead entries of the due index cost by their number, not by the table's size: cleaned at a thousand and
                # one in a hundred, instead of at one in five of all sagas there ever were.
                "autovacuum_vacuum_scale_factor": "0.01",
                "autovacuum_vacuum_threshold": "1000",
            }
        },
    )

    id: UUID = Field(sa_column=Column(Uuid(), primary_key=True))
    definition_name: str = Field(sa_column=Column(Text, nullable=False))
    definition_version: int = Field(sa_column=Column(Integer, nullable=False))
    state: str = Field(sa_column=Column(Text, nullable=False))
    visit: int = Field(sa_column=Column(Integer, nullable=False))
    attempts: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    status: SagaStatus = Field(sa_column=Column(EnumText(SagaStatus), nullable=False))
    version: int = Field(sa_column=Column(Integer, nullable=False))
    context: dict[str, Any] = Field(sa_column=_jsonb())
    project_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    project_path: str = Field(sa_column=Column(Text, nullable=False))
    issue_iid: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    branch: str = Field(sa_column=Column(Text, nullable=False))
    writes: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False, server_default=text("'{}'")))
    natural_key: str = Field(sa_column=Column(Text, nullable=False))
    started_by_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    started_by: dict[str, Any] = Field(sa_column=_jsonb())

    due_at: datetime | None = Field(default=None, sa_column=_timestamp())
    lease_token: UUID | None = Field(default=None, sa_column=Column(Uuid(), nullable=True))
    look_at: datetime | None = Field(default=None, sa_column=_timestamp())
    look_interval_s: float = Field(default=2.0, sa_column_kwargs={"server_default": text("2")})
    deadline_at: datetime | None = Field(default=None, sa_column=_timestamp())
    next_attempt_at: datetime | None = Field(default=None, sa_column=_timestamp())
    waiting_since: datetime | None = Field(default=None, sa_column=_timestamp())
    signals: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    signals_seen: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default=text("0")))
    wanted: Wanted | None = Field(default=None, sa_column=Column(EnumText(Wanted), nullable=True))
    wanted_by: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(nullable=True))
    error: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(nullable=True))
    traceparent: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    created_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))
    updated_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))
    finished_at: datetime | None = Field(default=None, sa_column=_timestamp())


class SagaEvent(SQLModel, table=True):
    """A journal entry. `(saga_id, version)` is gap-free by construction: versions are taken under the saga's row lock."""

    __tablename__ = "saga_event"
    metadata = metadata
    __table_args__ = (
        # The process-wide feed walks (xid, saga_id, version) below the oldest running transaction.
        Index("ix_saga_event_feed", "xid", "saga_id", "version"),
    )

    saga_id: UUID = Field(sa_column=Column(Uuid(), ForeignKey("saga.id", ondelete="CASCADE"), primary_key=True))
    version: int = Field(sa_column=Column(Integer, primary_key=True))
    xid: str = Field(default=None, sa_column=Column(Xid8, nullable=False, server_default=text("pg_current_xact_id()")))
    type: EventType = Field(sa_column=Column(EnumText(EventType), nullable=False))
    from_state: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    to_state: str = Field(sa_column=Column(Text, nullable=False))
    status: SagaStatus = Field(sa_column=Column(EnumText(SagaStatus), nullable=False))
    actor: str = Field(sa_column=Column(Text, nullable=False))
    data: dict[str, Any] = Field(sa_column=_jsonb())
    occurred_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))


class CalculationTask(SQLModel, table=True):
    """A Celery message and what became of it; rows without `published_at` are the outbox."""

    __tablename__ = "calculation_task"
    metadata = metadata
    __table_args__ = (
        UniqueConstraint("saga_id", "state", "visit"),
        Index("ix_calculation_task_outbox", "created_at", postgresql_where=text("published_at IS NULL")),
        # "Is this output current?" asks by project, branch and calculation for what a worker once produced.
        Index(
            "ix_calculation_task_output",
            "project_id",
            "branch",
            "calculation",
            postgresql_where=text("status = 'SUCCEEDED'"),
        ),
    )

    id: UUID = Field(sa_column=Column(Uuid(), primary_key=True))
    saga_id: UUID = Field(sa_column=Column(Uuid(), nullable=False))
    """No foreign key: a task outlives its saga's row, because by it an output on a branch is known to be current."""
    state: str = Field(sa_column=Column(Text, nullable=False))
    visit: int = Field(sa_column=Column(Integer, nullable=False))
    calculation: str = Field(sa_column=Column(Text, nullable=False))
    status: TaskStatus = Field(sa_column=Column(EnumText(TaskStatus), nullable=False))
    name: str = Field(sa_column=Column(Text, nullable=False))
    queue: str = Field(sa_column=Column(Text, nullable=False))
    project_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    repo_url: str = Field(sa_column=Column(Text, nullable=False))
    branch: str = Field(sa_column=Column(Text, nullable=False))
    commit_hash: str = Field(sa_column=Column(Text, nullable=False))
    input_files: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    output_file: str = Field(sa_column=Column(Text, nullable=False))
    input_blobs: dict[str, Any] = Field(sa_column=_jsonb())
    """Path to blob id of every input file at `commit_hash`."""
    output_blob: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    output_commit: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    result: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(nullable=True))
    """The output document."""
    error: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    created_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))
    published_at: datetime | None = Field(default=None, sa_column=_timestamp())
    finished_at: datetime | None = Field(default=None, sa_column=_timestamp())


class Signal(SQLModel, table=True):
    """The inbox: an outside fact for a saga; the same fact told twice is one row."""

    __tablename__ = "signal"
    metadata = metadata
    __table_args__ = (UniqueConstraint("saga_id", "dedupe_key"),)

    id: UUID = Field(sa_column=Column(Uuid(), primary_key=True, server_default=text("gen_random_uuid()")))
    saga_id: UUID = Field(sa_column=Column(Uuid(), ForeignKey("saga.id", ondelete="CASCADE"), nullable=False))
    kind: SignalKind = Field(sa_column=Column(EnumText(SignalKind), nullable=False))
    dedupe_key: str = Field(sa_column=Column(Text, nullable=False))
    payload: dict[str, Any] = Field(sa_column=_jsonb())
    created_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))
    consumed_at: datetime | None = Field(default=None, sa_column=_timestamp())


class Draft(SQLModel, table=True):
    """The document of one visit of an input step: as hydrated or read from the branch, then as its user gave it."""

    __tablename__ = "draft"
    metadata = metadata

    saga_id: UUID = Field(sa_column=Column(Uuid(), ForeignKey("saga.id", ondelete="CASCADE"), primary_key=True))
    state: str = Field(sa_column=Column(Text, primary_key=True))
    visit: int = Field(sa_column=Column(Integer, primary_key=True))
    document: Any = Field(sa_column=Column(JSONB, nullable=False))
    blob_id: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    changed_at_version: int = Field(sa_column=Column(Integer, nullable=False))
    """The saga's version when the draft last changed: what `expectedVersion` is held against."""
    submitted: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(nullable=True))
    """The user's whole document, once given."""
    submitted_hash: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    submitted_by: dict[str, Any] | None = Field(default=None, sa_column=_jsonb(nullable=True))
    request_id: UUID | None = Field(default=None, sa_column=Column(Uuid(), nullable=True))
    """The request that gave it: after a lost COMMIT it tells whose it was."""


class ArchivedSaga(SQLModel, table=True):
    """A finished saga out of the way of the others, with its journal and drafts as documents; see `sagas.store.archive`."""

    __tablename__ = "archived_saga"
    metadata = metadata
    __table_args__ = (
        # Which branch an issue's newest saga worked on is asked for at each start.
        Index(
            "ix_archived_saga_issue",
            "project_id",
            "issue_iid",
            text("created_at DESC"),
            postgresql_where=text("issue_iid IS NOT NULL"),
        ),
    )

    id: UUID = Field(sa_column=Column(Uuid(), primary_key=True))
    definition_name: str = Field(sa_column=Column(Text, nullable=False))
    project_id: int = Field(sa_column=Column(BigInteger, nullable=False))
    issue_iid: int | None = Field(default=None, sa_column=Column(Integer, nullable=True))
    branch: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False))
    archived_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))
    saga: dict[str, Any] = Field(sa_column=_jsonb(default=None))
    """The row of `saga`, by column; `events` and `drafts` are lists of such."""
    events: list[dict[str, Any]] = Field(sa_column=_jsonb(default=None))
    drafts: list[dict[str, Any]] = Field(sa_column=_jsonb(default=None))


class ReturnedSaga(SQLModel, table=True):
    """A saga that came back from the archive, which leaves it alone for a day: whoever asked for it reads on.

    A table of its own, because columns of `saga` are paid for by every step of every saga.
    """

    __tablename__ = "returned_saga"
    metadata = metadata

    saga_id: UUID = Field(sa_column=Column(Uuid(), ForeignKey("saga.id", ondelete="CASCADE"), primary_key=True))
    returned_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))


class IdempotencyRecord(SQLModel, table=True):
    """A client's key and what it started: kept while the saga lives and 30 days more."""

    __tablename__ = "idempotency_record"
    metadata = metadata
    __table_args__ = (Index("ix_idempotency_record_saga", "saga_id"),)

    user_id: int = Field(sa_column=Column(BigInteger, primary_key=True))
    mutation: str = Field(sa_column=Column(Text, primary_key=True))
    key: str = Field(sa_column=Column(Text, primary_key=True))
    input_hash: str = Field(sa_column=Column(Text, nullable=False))
    saga_id: UUID = Field(sa_column=Column(Uuid(), ForeignKey("saga.id", ondelete="CASCADE"), nullable=False))
    request_id: UUID = Field(sa_column=Column(Uuid(), nullable=False))
    created_at: datetime = Field(default=None, sa_column=_timestamp(nullable=False, now=True))
