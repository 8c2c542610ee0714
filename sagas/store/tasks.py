"""Task rows as the steps ask for them: the outbox entry of a dispatch, and which worker result made an output."""

from uuid import UUID

from sagas.ids import BlobId, ProjectId
from sagas.models import CalculationTask
from sagas.store.database import Connection
from sagas.store.rows import to_task

_TASK = "SELECT * FROM calculation_task WHERE id = $1"
_OF_SAGA = "SELECT * FROM calculation_task WHERE saga_id = $1 ORDER BY created_at, id"
PRODUCED = """
SELECT * FROM calculation_task
WHERE project_id = $1 AND branch = $2 AND calculation = $3 AND status = 'SUCCEEDED' AND output_blob = $4
ORDER BY finished_at DESC
"""


async def task(connection: Connection, task_id: UUID) -> CalculationTask | None:
    """The task with this id."""
    record = await connection.fetchrow(_TASK, task_id)
    return None if record is None else to_task(record)


async def of_saga(connection: Connection, saga_id: UUID) -> list[CalculationTask]:
    """Every task of the saga, oldest first."""
    return [to_task(record) for record in await connection.fetch(_OF_SAGA, saga_id)]


async def produced(
    connection: Connection, *, project_id: ProjectId, branch: str, calculation: str, output_blob: BlobId
) -> list[CalculationTask]:
    """The successful tasks of this branch that produced exactly this output, newest first."""
    records = await connection.fetch(PRODUCED, project_id, branch, calculation, output_blob)
    return [to_task(record) for record in records]
