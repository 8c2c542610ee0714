"""The use cases of the Orchestrator: what a user can ask of sagas. Every answer is durable when it is given."""

from sagas.ids import ProjectId, SagaId
from sagas.ports import Json, User
from sagas.store import inbox
from sagas.use_cases import commanding, merging, starting
from sagas.use_cases.answers import Answer
from sagas.use_cases.desk import Desk
from sagas.use_cases.merging import MergeRequestAnswer

__all__ = ["Answer", "Desk", "MergeRequestAnswer", "SagaService"]


class SagaService:
    """Commands for users and hints from webhooks.

    Every command raises RefusedError where the caller must mend something, which changes nothing and stores nothing;
    RetryableError("DATABASE_UNAVAILABLE") where the database is away. A caller that goes away cannot cut one in half.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def start_balance(
        self,
        user: User,
        *,
        project_path: str,
        issue_iid: int | None = None,
        branch: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """FR-ORCH-1: start the Balance saga on an issue's branch, or find the one that is live there."""
        return await starting.start_balance(
            self._desk,
            user,
            project_path=project_path,
            issue_iid=issue_iid,
            branch=branch,
            idempotency_key=idempotency_key,
        )

    async def run_calculation(
        self,
        user: User,
        *,
        project_path: str,
        calculation: str,
        values: Json,
        issue_iid: int | None = None,
        branch: str | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """FR-ORCH-3: run one independent calculation: one commit with its input, one task."""
        return await starting.run_calculation(
            self._desk,
            user,
            project_path=project_path,
            issue_iid=issue_iid,
            branch=branch,
            calculation=calculation,
            values=values,
            idempotency_key=idempotency_key,
        )

    async def advance(
        self,
        user: User,
        saga_id: SagaId,
        *,
        step: str,
        values: Json,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Give a waiting saga the user's whole document and move it on."""
        return await commanding.advance(
            self._desk,
            user,
            saga_id,
            step=step,
            values=values,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
        )

    async def retry(
        self,
        user: User,
        saga_id: SagaId,
        *,
        from_step: str | None = None,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Go on with a failed saga: its failed step again, or back to an earlier one."""
        return await commanding.retry(
            self._desk,
            user,
            saga_id,
            from_step=from_step,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
        )

    async def pause(
        self,
        user: User,
        saga_id: SagaId,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Let a saga rest until it is resumed."""
        return await commanding.pause(
            self._desk, user, saga_id, expected_version=expected_version, idempotency_key=idempotency_key
        )

    async def resume(
        self,
        user: User,
        saga_id: SagaId,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """Go on with a paused saga."""
        return await commanding.resume(
            self._desk, user, saga_id, expected_version=expected_version, idempotency_key=idempotency_key
        )

    async def cancel(
        self,
        user: User,
        saga_id: SagaId,
        *,
        compensate: bool = True,
        reason: str | None = None,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """End a saga; with `compensate`, what it did in GitLab is undone first."""
        return await commanding.cancel(
            self._desk,
            user,
            saga_id,
            compensate=compensate,
            reason=reason,
            expected_version=expected_version,
            idempotency_key=idempotency_key,
        )

    async def create_merge_request(
        self,
        user: User,
        *,
        project_path: str,
        source_branch: str,
        target_branch: str | None = None,
        title: str | None = None,
        description: str | None = None,
        issue_iid: int | None = None,
        idempotency_key: str | None = None,
    ) -> MergeRequestAnswer:
        """FR-ORCH-6: open the merge request of a branch, or return the open one; waits for it, bounded."""
        return await merging.create_merge_request(
            self._desk,
            user,
            project_path=project_path,
            source_branch=source_branch,
            target_branch=target_branch,
            title=title,
            description=description,
            issue_iid=issue_iid,
            idempotency_key=idempotency_key,
        )

    async def webhook(self, *, delivery_id: str, project_id: ProjectId, branch: str) -> int:
        """Something was pushed to a branch: have its waiting sagas looked after now; returns how many.

        Only a hint: what is lost here is found by the next look; a delivery told twice counts once.
        """
        hints = await self._desk.database.run(
            lambda connection: inbox.pushed(
                connection, project_id=project_id, branch=branch, delivery=delivery_id, payload={"branch": branch}
            ),
            point="webhook",
        )
        self._desk.tell(hints, outside=True)
        return len(hints)
