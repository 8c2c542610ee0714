"""The identities of the system, and the two that are derived: effect key and task id."""

import secrets
import time
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


def new_saga_id() -> SagaId:
    """A new identity: UUIDv7 (RFC 9562, section 5.7), 48 bits of milliseconds since 1970 and 74 that nobody can guess.

    In the order of time, so that the keys of new rows lie side by side in every index. Ids without any order would touch
    another page for each row, and beside a long history PostgreSQL writes each of these whole into its log.
    """
    milliseconds = time.time_ns() // 1_000_000
    version, variant = 0x7 << 76, 0b10 << 62
    high, low = secrets.randbits(12) << 64, secrets.randbits(62)
    return SagaId(UUID(int=(milliseconds & (1 << 48) - 1) << 80 | version | high | variant | low))


def effect_key(saga_id: SagaId, state: str, visit: int) -> EffectKey:
    """The identity of an outside effect: `<saga id>/<state>/<visit>`; attempts and take-overs keep it."""
    return EffectKey(f"{saga_id}/{state}/{visit}")


def task_id(key: EffectKey) -> TaskId:
    """The id of the task that the dispatch with this effect key publishes: UUIDv5, so that every attempt has the same."""
    return TaskId(uuid5(TASK_NAMESPACE, key))
