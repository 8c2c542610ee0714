"""docker-compose.yml, held to the Compose Specification and to what this project promises about it."""

import json
import re
from pathlib import Path
from typing import Any

import compose_spec
import pytest
import yaml
from typer.testing import CliRunner

from app.cli.commands import app
from app.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
OWN_VARIABLES = {"ORCHESTRATOR_EMULATOR_ADMIN_TOKEN"}


def without_variables(text: str) -> str:
    """As Compose reads it: `${NAME:-default}` is its default, a required variable something that is there."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    return re.sub(r"\$\{\w+:\?[^}]*\}", "given", text)


def check(text: str) -> None:
    """Raises ValueError where the specification does not allow it; YAML's own merges are done first, as Compose does."""
    compose_spec.PyCompose.from_json(json.dumps(yaml.safe_load(without_variables(text)))).validate()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(without_variables(TEXT))
    found: dict[str, Any] = content["services"]
    return found


def test_it_is_valid_by_the_compose_specification() -> None:
    check(TEXT)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("condition: service_healthy", "condition: service_fine"),
        ("healthcheck:", "helthcheck:"),
        ("profiles:", "profile:"),
        ("restart: unless-stopped", "restart: sometimes"),
    ],
)
def test_the_check_notices_mistakes(right: str, wrong: str) -> None:
    assert right in TEXT
    with pytest.raises(ValueError, match=r"\S"):
        check(TEXT.replace(right, wrong))


def test_every_volume_in_use_is_declared(services: dict[str, Any]) -> None:
    used = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert used == set(yaml.safe_load(TEXT)["volumes"])


def test_without_the_profile_there_is_neither_emulator_nor_worker(services: dict[str, Any]) -> None:
    usual = {name for name, service in services.items() if "profiles" not in service}
    assert usual == {"postgres", "rabbitmq", "migrate", "api", "engine"}
    assert {tuple(services[name]["profiles"]) for name in services.keys() - usual} == {("demo",)}


def test_servers_have_health_checks_and_others_wait_for_them(services: dict[str, Any]) -> None:
    for name in ("postgres", "rabbitmq", "api", "gitlab-emulator"):
        assert "healthcheck" in services[name], name
    for name, service in services.items():
        for needed, how in service.get("depends_on", {}).items():
            condition = how["condition"]
            assert condition == "service_completed_successfully" or "healthcheck" in services[needed], (name, needed)


def test_any_setting_in_the_env_file_reaches_the_processes_and_none_that_is_fixed_here(
    services: dict[str, Any],
) -> None:
    for name in ("api", "engine", "migrate", "demo-worker"):
        assert services[name]["env_file"] == [{"path": ".env", "required": False}], name
        assert services[name]["environment"]["ORCHESTRATOR_HOST"] == "0.0.0.0", "what stands here is above the file"


def test_there_is_no_secret_in_it(services: dict[str, Any]) -> None:
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search(r"PASS|TOKEN|SECRET", name):
                assert value == "given", f"{name} must come from outside"
    assert not re.search(r"://\w+:(?!\$\{)[^@\s]*@", TEXT), "an address carries its password"


def test_every_setting_and_every_command_in_it_exists(services: dict[str, Any]) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | OWN_VARIABLES
    runner = CliRunner()
    for service in services.values():
        assert {name for name in service.get("environment", {}) if name.startswith(PREFIX)} <= known
        if service["image"] == "balance-orchestrator":
            command, *options = service["command"]
            helped = runner.invoke(app, [command, "--help"], terminal_width=200)
            assert helped.exit_code == 0, helped.output
            assert all(option in helped.output for option in options if option.startswith("--"))
