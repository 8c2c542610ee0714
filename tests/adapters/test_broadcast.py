"""The PostgreSQL backend for broadcaster: bounded, patient, and honest about what it may have missed."""

import asyncio
import sys
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from broadcaster import Broadcast
from sqlalchemy import make_url

from app.adapters.broadcast import CHANNEL, RESYNC, ListeningPostgres, open_broadcast, read_hints
from sagas.ids import SagaId
from sagas.ports import Hint
from tests.support import eventually
from tests.support_postgres import TestServer

NOBODY_LISTENS = "postgresql://orchestrator@127.0.0.1:9/orchestrator"


@pytest.fixture
def unborn_url(postgres: TestServer) -> Iterator[str]:
    """The address of a database that is not there (yet)."""
    name = f"test_unborn_{uuid4().hex[:8]}"
    yield make_url(postgres.url).set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def test_messages_that_nobody_fetches_become_one_resync_instead_of_a_growing_queue() -> None:
    backend = ListeningPostgres(NOBODY_LISTENS)
    await backend.subscribe(CHANNEL)
    for number in range(1_001):
        backend._heard(None, 1, CHANNEL, f"{number}")
    event = await backend.next_published()
    assert (event.channel, event.message) == (CHANNEL, RESYNC)
    assert backend._events.empty()


async def test_a_server_that_refuses_is_asked_again_until_it_lets_us_listen(
    postgres: TestServer, unborn_url: str
) -> None:
    backend = ListeningPostgres(unborn_url)
    async with Broadcast(backend=backend) as broadcast, broadcast.subscribe(CHANNEL) as subscriber:
        await asyncio.sleep(0.2)
        assert not backend.listens
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {make_url(unborn_url).database}")
        await eventually(lambda: backend.listens)
        assert (await asyncio.wait_for(subscriber.get(), 5)).message == RESYNC
        await broadcast.publish(CHANNEL, "hello")
        assert (await asyncio.wait_for(subscriber.get(), 5)).message == "hello"


async def test_fifty_publish_and_subscribe_at_once_over_the_same_connections(database_url: str) -> None:
    async with open_broadcast(database_url) as broadcast:

        async def hear(channel: str) -> str:
            async with broadcast.subscribe(channel) as subscriber:
                while True:
                    await broadcast.publish(channel, f"for {channel}")
                    message = (await subscriber.get()).message
                    if message != RESYNC:
                        return message

        async with asyncio.timeout(20):
            heard = await asyncio.gather(*[hear(f"channel_{number}") for number in range(50)])
    assert heard == [f"for channel_{number}" for number in range(50)]


async def test_a_transport_whose_package_is_missing_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "broadcaster._backends.redis", raising=False)
    with pytest.raises(ValueError, match="need the Python package redis"):
        async with open_broadcast("redis://127.0.0.1:6379"):
            pass


SOME_ID = "5f0c5d8e-9c55-41c1-a5d1-b7e42f0b7a52"


@pytest.mark.parametrize("nonsense", ["", "x", "1:2", SOME_ID, f"{SOME_ID}:", f"{SOME_ID}:1,", "\0", "🙂:1"])
def test_a_message_that_cannot_be_read_means_read_again(nonsense: str) -> None:
    assert read_hints(nonsense) is None


def test_a_message_is_read_as_the_hints_it_carries() -> None:
    one, other = SagaId(uuid4()), SagaId(uuid4())
    assert read_hints(f"{one}:1,{other}:23") == [Hint(one, 1), Hint(other, 23)]
