"""The fixtures that other tests stand on."""

import psycopg


def test_each_test_gets_a_migrated_database_on_both_versions_of_postgresql(any_database_url: str) -> None:
    with psycopg.connect(any_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM saga").fetchone() == (0,)


def test_an_empty_database_has_no_tables(any_empty_database_url: str) -> None:
    with psycopg.connect(any_empty_database_url) as connection:
        assert connection.execute("SELECT to_regclass('saga')").fetchone() == (None,)


def test_two_databases_of_one_test_do_not_see_each_other(database_url: str, empty_database_url: str) -> None:
    assert database_url != empty_database_url
