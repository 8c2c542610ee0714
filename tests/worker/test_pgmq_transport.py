"""The channel's promise: an acknowledgement that fails never costs the worker its place for the next message."""

from types import SimpleNamespace

import psycopg
import pytest
from kombu.transport import pgmq

from app.demo.worker.pgmq_transport import ACK_TRIES, Channel


class Places:
    """The messages that count against the prefetch."""

    def __init__(self) -> None:
        self.freed: list[str] = []

    def ack(self, delivery_tag: str) -> None:
        self.freed.append(delivery_tag)


def channel(monkeypatch: pytest.MonkeyPatch, method: str, failures: int) -> tuple[Channel, Places, list[object]]:
    calls: list[object] = []

    def settle(self: object, delivery_tag: str, flag: bool) -> None:
        calls.append((delivery_tag, flag))
        if len(calls) <= failures:
            raise psycopg.OperationalError("the server is away")

    monkeypatch.setattr(pgmq.Channel, method, settle)
    places = Places()
    made = Channel.__new__(Channel)
    made.__dict__ |= {"_qos": places, "closed": True, "connection": SimpleNamespace()}
    return made, places, calls


@pytest.mark.parametrize("method", ["basic_ack", "basic_reject"])
def test_a_passing_fault_is_tried_again(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    made, places, calls = channel(monkeypatch, method, failures=ACK_TRIES - 1)
    getattr(made, method)("tag", True)
    assert calls == [("tag", True)] * ACK_TRIES
    assert places.freed == []


@pytest.mark.parametrize("method", ["basic_ack", "basic_reject"])
def test_an_outage_frees_the_place_and_is_told(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    made, places, calls = channel(monkeypatch, method, failures=ACK_TRIES)
    with pytest.raises(psycopg.OperationalError, match="away"):
        getattr(made, method)("tag", False)
    assert len(calls) == ACK_TRIES
    assert places.freed == ["tag"]
