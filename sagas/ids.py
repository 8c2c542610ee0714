"""The identities of the system, and the two that are derived: effect key and task id."""

from typing import NewType
from uuid import UUID, uuid5

SagaId = NewType("SagaId", UUID)
TaskId = NewType("TaskId", UUID)
LeaseToken = NewType("LeaseToken", UUID)
ProjectId = NewType("ProjectId", int)
EffectKey = NewType("EffectKey", str)
CommitSha = NewType("CommitSha", str)
BlobId = NewType("BlobId", str)

TASK_NAMESPACE = UUID("6f0b7a52-5f0c-5d8e-9c55-1c1a5d1b7e42")
"""Never changes: a task id must come out the same after any restart, restore or release."""


def effect_key(saga_id: SagaId, state: str, visit: int) -> EffectKey:
    """The identity of an outside effect: `<saga id>/<state>/<visit>`; attempts and take-overs keep it."""
    return EffectKey(f"{saga_id}/{state}/{visit}")


def task_id(key: EffectKey) -> TaskId:
    """The id of the task that the dispatch with this effect key publishes: UUIDv5, so that every attempt has the same."""
    return TaskId(uuid5(TASK_NAMESPACE, key))
