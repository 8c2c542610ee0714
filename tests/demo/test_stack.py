"""Ports and secrets of the demo: kept from run to run."""

import json
import re
import socket
from pathlib import Path

import pytest

from app.demo.seed import Secrets
from app.demo.stack import Ports
from app.demo.supervisor import SupervisorError


def test_ports_are_kept_over_runs(tmp_path: Path) -> None:
    first = Ports.choose(tmp_path / "ports.json", 0)
    assert Ports.choose(tmp_path / "ports.json", 0) == first
    assert Ports.choose(tmp_path / "ports.json", None) == first
    assert len({first.postgres, first.gitlab, first.api}) == 3


def test_a_port_that_somebody_took_meanwhile_is_replaced(tmp_path: Path) -> None:
    first = Ports.choose(tmp_path / "ports.json", 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", first.gitlab))
        other.listen()
        second = Ports.choose(tmp_path / "ports.json", 0)
    assert second.gitlab != first.gitlab
    assert (second.postgres, second.api) == (first.postgres, first.api)
    assert json.loads((tmp_path / "ports.json").read_text())["gitlab"] == second.gitlab


def test_the_port_that_was_asked_for_is_taken_or_refused(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SupervisorError, match=f"Port {port} is taken"):
            Ports.choose(tmp_path / "ports.json", port)
        assert not (tmp_path / "ports.json").exists()
    assert Ports.choose(tmp_path / "ports.json", port).api == port


def test_a_broken_file_of_ports_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{")
    Ports.choose(tmp_path / "ports.json", 0)
    assert set(json.loads((tmp_path / "ports.json").read_text())) == {"postgres", "gitlab", "api"}


def test_secrets_are_kept_closed_to_others_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = Secrets.load(path)
    first.save(path)
    assert Secrets.load(path) == first
    assert path.stat().st_mode & 0o077 == 0
    assert first.admin_token not in repr(first)
    assert re.fullmatch(r"[\w-]{20,}", first.admin_token)
    assert Secrets.load(tmp_path / "none.json").admin_token != first.admin_token
