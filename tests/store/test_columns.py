"""The row in memory and its table name the same columns."""

from dataclasses import fields

from sagas.models import Saga, SagaRow


def test_the_saga_in_memory_has_the_columns_of_its_table() -> None:
    table = SagaRow.__table__  # type: ignore[attr-defined]  # set by SQLModel's metaclass
    assert [field.name for field in fields(Saga)] == [column.name for column in table.columns]
