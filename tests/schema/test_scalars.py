from datetime import UTC, datetime, timedelta, timezone

import pytest
from graphql import GraphQLError

from schema.scalars import parse_rfc3339, rfc3339


def test_times_are_told_in_utc_with_z() -> None:
    moscow = timezone(timedelta(hours=3))
    assert rfc3339(datetime(2026, 11, 23, 22, 16, tzinfo=UTC)) == "2026-11-23T22:16:00Z"
    assert rfc3339(datetime(2026, 11, 24, 1, 16, 0, 250_000, tzinfo=moscow)) == "2026-11-23T22:16:00.250000Z"


def test_a_time_without_an_offset_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        rfc3339(datetime(2026, 11, 23))  # noqa: DTZ001 - the very case


@pytest.mark.parametrize("given", ["2026-11-23", "2026-11-23T22:16:00", "yesterday", "", 5, None])
def test_what_is_no_rfc_3339_time_is_refused_with_an_example(given: object) -> None:
    with pytest.raises(GraphQLError, match="2026-11-23T22:16:00Z"):
        parse_rfc3339(given)


def test_a_time_reads_back() -> None:
    assert parse_rfc3339("2026-11-24T01:16:00+03:00") == datetime(2026, 11, 23, 22, 16, tzinfo=UTC)
