"""The archive of finished sagas.

Revision: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ARCHIVED_SAGA = """
CREATE TABLE archived_saga (
    id uuid NOT NULL,
    definition_name text NOT NULL,
    project_id bigint NOT NULL,
    issue_iid integer,
    branch text NOT NULL,
    created_at timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    saga jsonb NOT NULL,
    events jsonb NOT NULL,
    drafts jsonb NOT NULL,
    CONSTRAINT pk_archived_saga PRIMARY KEY (id)
)
"""

UP = (
    ARCHIVED_SAGA,
    """
    CREATE INDEX ix_archived_saga_issue ON archived_saga (project_id, issue_iid, created_at DESC)
    WHERE issue_iid IS NOT NULL
    """,
    "CREATE INDEX ix_saga_finished ON saga (definition_name, finished_at) WHERE finished_at IS NOT NULL",
    # A task outlives its saga's row: by it an output on a branch is known to be current.
    "ALTER TABLE calculation_task DROP CONSTRAINT fk_calculation_task_saga_id_saga",
)
DOWN = (
    # What is archived cannot be kept without its table.
    """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM archived_saga) THEN
            RAISE EXCEPTION 'the archive holds sagas: bring them back first (orchestrator sagas unarchive)';
        END IF;
    END $$
    """,
    """
    ALTER TABLE calculation_task ADD CONSTRAINT fk_calculation_task_saga_id_saga
    FOREIGN KEY (saga_id) REFERENCES saga (id) ON DELETE CASCADE
    """,
    "DROP INDEX ix_saga_finished",
    "DROP TABLE archived_saga",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in DOWN:
        op.execute(statement)
