"""Settings: defaults that work, and refusals in words."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from app.main import web_access
from app.settings import (
    PREFIX,
    AuthMode,
    Settings,
    SettingsError,
    is_loopback,
    load_database_settings,
    load_settings,
)

LOCAL = {
    "DATABASE_URL": "postgresql://me:pw@127.0.0.1:5432/orchestrator",
    "GITLAB_URL": "http://localhost:8929/",
    "GITLAB_TOKEN": "glpat-very-secret",
}
REMOTE = LOCAL | {
    "DATABASE_URL": "postgresql://me:pw@db.internal/orchestrator",
    "GITLAB_URL": "https://git.example.com",
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def given(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)


def refusal(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> str:
    given(monkeypatch, values)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return str(refused.value)


def test_three_variables_are_enough_on_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, LOCAL)
    settings = load_settings()
    assert settings.auth is AuthMode.DEMO
    assert settings.broker.startswith("pgmq://me:pw@127.0.0.1:5432/")
    assert settings.results == "db+postgresql+psycopg://me:pw@127.0.0.1:5432/orchestrator"
    assert settings.broadcast == settings.database_url
    assert settings.gitlab_url == "http://localhost:8929"
    assert settings.own_url == "http://127.0.0.1:8000"


def test_every_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, {}).splitlines() == [
        f"{PREFIX}{name} is not set." for name in ("DATABASE_URL", "GITLAB_URL", "GITLAB_TOKEN")
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DATABASE_URL", "mysql://x/y", "must be a PostgreSQL address, such as postgresql://"),
        ("GITLAB_URL", "gitlab.example.com", "must be an address that begins with http:// or https://"),
        ("GITLAB_URL", "https://oauth2:token@git.example.com", "a token has a variable of its own"),
        ("PORT", "99999", "less than or equal to 65535"),
        ("PORT", "http", "valid integer"),
        ("LEASE", "0.1", "greater than or equal to 1 second"),
        ("LEASE", "soon", "timedelta"),
        ("ALLOWED_ORIGINS", "*", "each named in full"),
        ("ALLOWED_ORIGINS", "https://*.example.com", "each named in full"),
        ("ALLOWED_ORIGINS", "ide.example.com", "must be origins such as"),
        ("ALLOWED_ORIGINS", "https://ide.example.com/app", "must be origins such as"),
        ("LOG_LEVEL", "loud", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("AUTH", "ldap", "'gitlab', 'jwt' or 'demo'"),
        ("METRICS_LISTEN", "9464", "must be an address and a port, such as 127.0.0.1:9464"),
        ("METRICS_LISTEN", "127.0.0.1:http", "must be an address and a port"),
        ("METRICS_TOKEN", "short", "at least 16"),
        ("TRACES_URL", "collector:4318", "must be an address that begins with http:// or https://"),
        ("TRACES_RATIO", "2", "less than or equal to 1"),
        ("ENGINE_CONCURRENCY", "0", "greater than or equal to 1"),
        ("LOOKS_PER_MINUTE", "1", "greater than or equal to 2"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_right(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    text = refusal(monkeypatch, LOCAL | {name: value})
    assert text.startswith(f"{PREFIX}{name}: ")
    assert words in text


@pytest.mark.parametrize("auth", ["", "demo"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", "0.0.0.0"),
        ("HOST", "orchestrator.example.com"),
        ("DATABASE_URL", "postgresql://me:pw@db.internal/x"),
        ("GITLAB_URL", "https://git.example.com"),
        ("BROKER_URL", "amqp://guest:guest@rabbit//"),
        ("BROADCAST_URL", "redis://cache:6379"),
        ("PUBLIC_URL", "https://orchestrator.example.com"),
        ("METRICS_LISTEN", "10.0.0.1:9464"),
    ],
)
def test_the_demo_user_is_refused_unless_everything_is_on_loopback(
    monkeypatch: pytest.MonkeyPatch, auth: str, name: str, value: str
) -> None:
    text = refusal(monkeypatch, LOCAL | {name: value} | ({"AUTH": auth} if auth else {}))
    assert f"{PREFIX}{name} (" in text
    assert f"Set {PREFIX}AUTH to gitlab or jwt" in text


def test_metrics_outside_loopback_need_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    real = REMOTE | {"AUTH": "gitlab", "METRICS_LISTEN": "0.0.0.0:9464"}
    assert f"set {PREFIX}METRICS_TOKEN" in refusal(monkeypatch, real)
    given(monkeypatch, {"METRICS_TOKEN": "a-token-long-enough"})
    assert load_settings().metrics_listen == ("0.0.0.0", 9464)
    given(monkeypatch, {"METRICS_LISTEN": "[::1]:0"})
    assert load_settings().metrics_listen == ("::1", 0)


def test_open_metrics_are_for_demo_mode_only(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, LOCAL | {"METRICS": "true"})
    assert load_settings().metrics
    open_to_all = refusal(monkeypatch, REMOTE | {"AUTH": "gitlab", "METRICS": "true"})
    assert f"{PREFIX}METRICS opens" in open_to_all
    assert f"set {PREFIX}METRICS_TOKEN" in open_to_all


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "LOCALHOST."])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "localhost.example.com", "db", ""])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_real_identity_may_be_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, REMOTE | {"AUTH": "GitLab", "HOST": "0.0.0.0"})
    assert load_settings().auth is AuthMode.GITLAB


def test_jwt_names_what_it_needs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, REMOTE | {"AUTH": "jwt", "JWT_ISSUER": "https://id.example.com"})
    assert f"{PREFIX}JWT_AUDIENCE, {PREFIX}JWT_JWKS_URL" in text
    assert f"{PREFIX}JWT_ISSUER" not in text


def test_a_catalogue_that_is_no_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{PREFIX}CATALOGUE names nowhere.json" in refusal(monkeypatch, LOCAL | {"CATALOGUE": "nowhere.json"})


def test_durations_are_seconds_or_iso_8601(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, LOCAL | {"LEASE": "4.5", "GITLAB_TIMEOUT": "PT1M"})
    settings = load_settings()
    assert (settings.lease, settings.gitlab_timeout) == (timedelta(seconds=4.5), timedelta(minutes=1))


def test_secrets_are_shown_neither_in_settings_nor_in_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, LOCAL | {"GITLAB_WEBHOOK_SECRET": "hush-hush"})
    assert "very-secret" not in repr(load_settings())
    assert "hush" not in repr(load_settings())
    text = refusal(monkeypatch, {"GITLAB_TOKEN": "glpat-very-secret", "PORT": "-1", "GITLAB_URL": "http://a:geheim@b"})
    assert "very-secret" not in text
    assert "geheim" not in text


def test_a_database_url_of_any_driver_is_taken_and_its_password_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, {"DATABASE_URL": "postgresql+asyncpg://me:geheim@h/db"})
    settings = load_database_settings()
    assert settings.database_url == "postgresql://me:geheim@h/db"
    assert "geheim" not in repr(settings)


def test_what_the_command_line_gives_stands_above_the_environment_and_that_above_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines = [f"{PREFIX}{name}={value}" for name, value in (LOCAL | {"PORT": "1111", "HOST": "127.0.0.2"}).items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    given(monkeypatch, {"HOST": "127.0.0.3"})
    settings = load_settings(port=3333)
    assert (settings.port, settings.host) == (3333, "127.0.0.3")


def documented() -> dict[str, tuple[str, str]]:
    rows = re.findall(
        r"^\| `(ORCHESTRATOR_\w+)` \| (.*?) \| (.*?) \|$", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE
    )
    return {name: (default, text) for name, default, text in rows}


def shown_default(value: object, *, required: bool) -> str:
    match value:
        case _ if required:
            return "required"
        case None | "" | ():
            return ""
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{value.total_seconds():g}`"
        case AuthMode():
            return f"`{value.value}`"
        case _:
            return f"`{value}`"


def test_the_table_in_the_documentation_is_the_code() -> None:
    expected = {
        PREFIX + name.upper(): (shown_default(field.default, required=field.is_required()), field.description)
        for name, field in Settings.model_fields.items()
    }
    assert documented() == expected


def test_the_example_file_names_only_settings_that_exist() -> None:
    names = re.findall(r"^#? ?(ORCHESTRATOR_\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert names
    assert {name.removeprefix(PREFIX).lower() for name in names} <= set(Settings.model_fields)


def test_origins_are_a_list_and_in_demo_mode_the_api_answers_to_this_machines_names_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(monkeypatch, LOCAL | {"ALLOWED_ORIGINS": "https://ide.example.com, http://localhost:5173/"})
    access = web_access(load_settings())
    assert access.origins == ("https://ide.example.com", "http://localhost:5173")
    assert set(access.hosts) == {"localhost", "127.0.0.1", "[::1]"}
    given(monkeypatch, {"AUTH": "gitlab"})
    assert web_access(load_settings()).hosts == ()
