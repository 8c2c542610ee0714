"""The engine's tables.

Revision: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SAGA_DEFINITION = """
CREATE TABLE saga_definition (
    name text NOT NULL,
    version integer NOT NULL,
    hash text NOT NULL,
    document jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_saga_definition PRIMARY KEY (name, version),
    CONSTRAINT uq_saga_definition_name_hash UNIQUE (name, hash)
)
"""

SAGA = """
CREATE TABLE saga (
    id uuid NOT NULL,
    definition_name text NOT NULL,
    definition_version integer NOT NULL,
    state text NOT NULL,
    visit integer NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    status text NOT NULL,
    version integer NOT NULL,
    context jsonb NOT NULL DEFAULT '{}'::jsonb,
    project_id bigint NOT NULL,
    project_path text NOT NULL,
    issue_iid integer,
    branch text NOT NULL,
    writes text[] NOT NULL DEFAULT '{}',
    natural_key text NOT NULL,
    started_by_id bigint NOT NULL,
    started_by jsonb NOT NULL DEFAULT '{}'::jsonb,
    due_at timestamptz,
    lease_token uuid,
    look_at timestamptz,
    look_interval_s double precision NOT NULL DEFAULT 2,
    deadline_at timestamptz,
    next_attempt_at timestamptz,
    waiting_since timestamptz,
    signals integer NOT NULL DEFAULT 0,
    signals_seen integer NOT NULL DEFAULT 0,
    wanted text,
    wanted_by jsonb,
    error jsonb,
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT pk_saga PRIMARY KEY (id),
    CONSTRAINT ck_saga_version_positive CHECK (version >= 1),
    CONSTRAINT fk_saga_definition_name_definition_version_saga_definition
        FOREIGN KEY (definition_name, definition_version) REFERENCES saga_definition (name, version)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000)
"""

SAGA_EVENT = """
CREATE TABLE saga_event (
    saga_id uuid NOT NULL,
    version integer NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    type text NOT NULL,
    from_state text,
    to_state text NOT NULL,
    status text NOT NULL,
    actor text NOT NULL,
    data jsonb NOT NULL DEFAULT '{}'::jsonb,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_saga_event PRIMARY KEY (saga_id, version),
    CONSTRAINT fk_saga_event_saga_id_saga FOREIGN KEY (saga_id) REFERENCES saga (id) ON DELETE CASCADE
)
"""

CALCULATION_TASK = """
CREATE TABLE calculation_task (
    id uuid NOT NULL,
    saga_id uuid NOT NULL,
    state text NOT NULL,
    visit integer NOT NULL,
    calculation text NOT NULL,
    status text NOT NULL,
    name text NOT NULL,
    queue text NOT NULL,
    project_id bigint NOT NULL,
    repo_url text NOT NULL,
    branch text NOT NULL,
    commit_hash text NOT NULL,
    input_files text[] NOT NULL,
    output_file text NOT NULL,
    input_blobs jsonb NOT NULL DEFAULT '{}'::jsonb,
    output_blob text,
    output_commit text,
    result jsonb,
    error text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT pk_calculation_task PRIMARY KEY (id),
    CONSTRAINT uq_calculation_task_saga_id_state_visit UNIQUE (saga_id, state, visit),
    CONSTRAINT fk_calculation_task_saga_id_saga FOREIGN KEY (saga_id) REFERENCES saga (id) ON DELETE CASCADE
)
"""

SIGNAL = """
CREATE TABLE signal (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    saga_id uuid NOT NULL,
    kind text NOT NULL,
    dedupe_key text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}'::jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    consumed_at timestamptz,
    CONSTRAINT pk_signal PRIMARY KEY (id),
    CONSTRAINT uq_signal_saga_id_dedupe_key UNIQUE (saga_id, dedupe_key),
    CONSTRAINT fk_signal_saga_id_saga FOREIGN KEY (saga_id) REFERENCES saga (id) ON DELETE CASCADE
)
"""

DRAFT = """
CREATE TABLE draft (
    saga_id uuid NOT NULL,
    state text NOT NULL,
    visit integer NOT NULL,
    document jsonb NOT NULL,
    blob_id text,
    changed_at_version integer NOT NULL,
    submitted jsonb,
    submitted_hash text,
    submitted_by jsonb,
    request_id uuid,
    CONSTRAINT pk_draft PRIMARY KEY (saga_id, state, visit),
    CONSTRAINT fk_draft_saga_id_saga FOREIGN KEY (saga_id) REFERENCES saga (id) ON DELETE CASCADE
)
"""

IDEMPOTENCY_RECORD = """
CREATE TABLE idempotency_record (
    user_id bigint NOT NULL,
    mutation text NOT NULL,
    key text NOT NULL,
    input_hash text NOT NULL,
    saga_id uuid NOT NULL,
    request_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_idempotency_record PRIMARY KEY (user_id, mutation, key),
    CONSTRAINT fk_idempotency_record_saga_id_saga FOREIGN KEY (saga_id) REFERENCES saga (id) ON DELETE CASCADE
)
"""

INDEXES = (
    "CREATE INDEX ix_saga_due ON saga (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX ix_saga_look ON saga (look_at) WHERE look_at IS NOT NULL",
    """
    CREATE INDEX ix_saga_unwoken ON saga (updated_at)
    WHERE due_at IS NULL AND status IN ('RUNNING', 'AWAITING_RESULT', 'CANCELLING')
    """,
    "CREATE INDEX ix_saga_live_branch ON saga (project_id, branch) WHERE status NOT IN ('COMPLETED', 'CANCELLED')",
    "CREATE INDEX ix_saga_project_created ON saga (project_id, created_at DESC, id DESC) INCLUDE (definition_name)",
    "CREATE INDEX ix_saga_path_created ON saga (project_path, created_at DESC, id DESC)",
    """
    CREATE INDEX ix_saga_starter_created ON saga (started_by_id, created_at DESC, id DESC)
    INCLUDE (definition_name, project_id)
    """,
    "CREATE INDEX ix_saga_issue_created ON saga (project_id, issue_iid, created_at DESC, id DESC)",
    "CREATE INDEX ix_saga_event_feed ON saga_event (xid, saga_id, version)",
    "CREATE INDEX ix_calculation_task_outbox ON calculation_task (created_at) WHERE published_at IS NULL",
    """
    CREATE INDEX ix_calculation_task_output ON calculation_task (project_id, branch, calculation)
    WHERE status = 'SUCCEEDED'
    """,
    "CREATE INDEX ix_idempotency_record_saga ON idempotency_record (saga_id)",
)

TABLES = ("idempotency_record", "draft", "signal", "calculation_task", "saga_event", "saga", "saga_definition")


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in (SAGA_DEFINITION, SAGA, SAGA_EVENT, CALCULATION_TASK, SIGNAL, DRAFT, IDEMPOTENCY_RECORD, *INDEXES):
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
