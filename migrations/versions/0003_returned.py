"""Which sagas came back from the archive, and when: they stay for a day, so that whoever asked can read on.

Revision: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

RETURNED_SAGA = """
CREATE TABLE returned_saga (
    saga_id uuid NOT NULL,
    returned_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT pk_returned_saga PRIMARY KEY (saga_id),
    CONSTRAINT fk_returned_saga_saga_id_saga FOREIGN KEY (saga_id) REFERENCES saga (id) ON DELETE CASCADE
)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(RETURNED_SAGA)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE returned_saga")
