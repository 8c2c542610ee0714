"""What the service needs to know: environment variables with the prefix `ORCHESTRATOR_`, and the same names in `.env`.

Every field says what it is for; `docs/settings.md` holds the same table, and a test holds the two together. What is
wrong is told in words, by the variable's name; secrets are never told.
"""

import ipaddress
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.limit_settings import LimitSettings
from app.setting_types import Address, Duration, HttpUrl, PostgresUrl, address_of, origins_of

PREFIX = "ORCHESTRATOR_"


class AuthMode(StrEnum):
    """Who vouches for a user."""

    GITLAB = "gitlab"
    JWT = "jwt"
    DEMO = "demo"


class SettingsError(Exception):
    """The settings cannot be worked with; the message names each variable and what would be right."""


_CONFIG = SettingsConfigDict(
    env_prefix=PREFIX,
    env_file=".env",
    env_ignore_empty=True,
    extra="ignore",
    hide_input_in_errors=True,
    frozen=True,
)


class DatabaseSettings(BaseSettings):
    """All that commands on the database alone need."""

    model_config = _CONFIG

    database_url: PostgresUrl = Field(
        repr=False, description="PostgreSQL 14 or newer: `postgresql://user:password@host/name`."
    )
    retention_days: int = Field(
        default=365,
        ge=30,
        le=36_500,
        description=(
            "Days after which a finished saga is moved to the archive. Asked for by its id it comes back; lists do not show it."
        ),
    )
    retention_days_of: dict[str, Annotated[int, Field(ge=30, le=36_500)]] = Field(
        default={},
        description='Where it differs, by the definition\'s name, as JSON: `{"merge_request": 60}`.',
    )


class Settings(DatabaseSettings, LimitSettings):
    """All that API and engine need; both take the same."""

    broker_url: str = Field(
        default="",
        repr=False,
        description="Celery's broker, such as `amqp://user:password@host:5672//`. Unset: queues in the database (pgmq).",
    )
    result_backend: str = Field(
        default="",
        repr=False,
        description="Where workers leave a task's outcome, as Celery spells it. Unset: the database.",
    )
    broadcast_url: str = Field(
        default="",
        repr=False,
        description="Carries live hints between processes: PostgreSQL or Redis. Unset: the database.",
    )
    database_pool_size: int = Field(default=10, ge=2, le=200, description="Connections per process for the engine.")

    gitlab_url: HttpUrl = Field(description="GitLab's address, such as `https://gitlab.example.com`.")
    gitlab_token: SecretStr = Field(
        min_length=1,
        description="The service user's access token with scope `api`; he is Maintainer of the projects.",
    )
    gitlab_webhook_secret: SecretStr | None = Field(
        default=None,
        description="The secret token of GitLab's webhook. Without it and a signing token every webhook is refused.",
    )
    gitlab_webhook_signing_token: SecretStr | None = Field(
        default=None, description="The signing token (`whsec_…`) of GitLab's webhook, where it signs."
    )
    gitlab_concurrency: int = Field(default=8, ge=1, le=128, description="Calls to GitLab at once, per process.")
    gitlab_timeout: Duration = Field(
        default=timedelta(seconds=10), gt=timedelta(0), description="How long one call to GitLab may take."
    )

    auth: AuthMode = Field(
        default=AuthMode.DEMO,
        description=(
            "Who vouches for users: `gitlab` (their GitLab tokens), `jwt` (a gateway's tokens), `demo` (one fixed user; "
            "only while every address is on loopback, and there it is what you get when nothing is set)."
        ),
    )
    jwt_issuer: str | None = Field(default=None, description="`jwt`: the `iss` that tokens must carry.")
    jwt_audience: str | None = Field(default=None, description="`jwt`: the `aud` that tokens must carry.")
    jwt_jwks_url: HttpUrl | None = Field(default=None, description="`jwt`: where the gateway publishes its keys.")
    jwt_user_claim: str = Field(default="sub", description="`jwt`: the claim that holds GitLab's numeric user id.")
    demo_user: str = Field(default="irina.sokolova", description="`demo`: the GitLab username of the one user.")

    catalogue: Path | None = Field(
        default=None, description="A catalogue of calculations in place of the shipped one (a JSON file)."
    )

    host: str = Field(default="127.0.0.1", description="The address that the API listens on.")
    port: int = Field(default=8000, ge=0, le=65535, description="The port that the API listens on; 0: a free one.")
    public_url: HttpUrl | None = Field(
        default=None, description="The API's address as GitLab and browsers see it. Unset: from host and port."
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(origins_of)] = Field(
        default=(),
        description=(
            "Origins of other hosts' pages that may call the API (CORS, websockets), separated by commas, such as "
            "`https://ide.example.com`. Unset: only pages of its own."
        ),
    )
    graphiql: bool | None = Field(
        default=None,
        description="Whether a browser that opens `/graphql` gets GraphiQL. Unset: only where `AUTH` is `demo`.",
    )
    data_dir: Path = Field(default=Path(".orchestrator"), description="Where the embedded servers keep their data.")

    engine_in_process: bool = Field(default=True, description="Whether `serve` runs an engine too.")
    engine_concurrency: int = Field(default=64, ge=1, le=1000, description="Steps under way at once, per engine.")
    looks_per_minute: int = Field(
        default=1200,
        ge=2,
        le=1_000_000,
        description=(
            "How often all engines together look at GitLab for waiting sagas of which no webhook tells; the more wait, the "
            "rarer each is looked after. A look is 2 to 7 requests."
        ),
    )
    lease: Duration = Field(
        default=timedelta(seconds=6),
        ge=timedelta(seconds=1),
        le=timedelta(seconds=60),
        description="How long a saga belongs to an engine that says nothing; renewed at a third of it.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="What is logged.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="Lines for people, or JSON for a collector."
    )

    metrics: bool = Field(
        default=False,
        description="Switches `/metrics` on without a token; only in demo mode, where every address is on loopback.",
    )
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Switches `/metrics` on, for whoever sends this as a bearer token; at least 16 characters.",
    )
    metrics_listen: Annotated[Address | None, NoDecode, BeforeValidator(address_of)] = Field(
        default=None,
        description=(
            "An address of its own that answers `/metrics`, such as `127.0.0.1:9464`: for engines, and to keep it apart "
            "from the API. Outside loopback it needs the token too."
        ),
    )
    traces_url: HttpUrl | None = Field(
        default=None,
        description="Switches traces on, and where they go: OTLP over HTTP, such as `http://collector:4318/v1/traces`.",
    )
    traces_ratio: float = Field(default=1.0, ge=0, le=1, description="The part of traces that is recorded.")

    @model_validator(mode="before")
    @classmethod
    def _auth_as_asked(cls, values: object) -> object:
        if isinstance(values, dict) and isinstance(values.get("auth"), str):
            values = values | {"auth": values["auth"].strip().lower()}
        return values

    @model_validator(mode="after")
    def _checked(self) -> Self:
        self._check_jwt()
        self._check_demo()
        self._check_metrics()
        if self.catalogue is not None and not self.catalogue.is_file():
            raise ValueError(f"{PREFIX}CATALOGUE names {self.catalogue}, which is no file")
        if self.trusted_documents_only and self.trusted_documents is None:
            raise ValueError(f"{PREFIX}TRUSTED_DOCUMENTS_ONLY also needs {PREFIX}TRUSTED_DOCUMENTS")
        return self

    def _check_jwt(self) -> None:
        if self.auth is not AuthMode.JWT:
            return
        needed = ("jwt_issuer", "jwt_audience", "jwt_jwks_url")
        if missing := [name for name in needed if not getattr(self, name)]:
            names = ", ".join(PREFIX + name.upper() for name in missing)
            raise ValueError(f"{PREFIX}AUTH is jwt, which also needs {names}")

    def _check_demo(self) -> None:
        if self.auth is not AuthMode.DEMO:
            return
        if outside := [f"{PREFIX}{name.upper()} ({host})" for name, host in self._hosts() if not is_loopback(host)]:
            asked = "is demo" if "auth" in self.model_fields_set else "is not set, which means demo"
            raise ValueError(
                f"{PREFIX}AUTH {asked}: everybody would be the one demo user, so it is only for addresses on loopback, "
                f"and these are not: {', '.join(outside)}. Set {PREFIX}AUTH to gitlab or jwt"
            )

    def _check_metrics(self) -> None:
        if self.metrics and self.metrics_token is None and self.auth is not AuthMode.DEMO:
            raise ValueError(
                f"{PREFIX}METRICS opens the metrics to everybody, which is for demo mode only: set {PREFIX}METRICS_TOKEN, "
                f"or {PREFIX}METRICS_LISTEN to an address of their own"
            )
        where = self.metrics_listen
        if where is not None and self.metrics_token is None and not is_loopback(where.host):
            raise ValueError(
                f"{PREFIX}METRICS_LISTEN ({where.host}) is not on loopback, so whoever reads the metrics there must show "
                f"who he is: set {PREFIX}METRICS_TOKEN"
            )

    def _hosts(self) -> Iterator[tuple[str, str]]:
        yield "host", self.host
        if self.metrics_listen is not None:
            yield "metrics_listen", self.metrics_listen.host
        for name in ("database_url", "broker_url", "result_backend", "broadcast_url", "gitlab_url", "public_url"):
            if url := getattr(self, name):
                yield name, _host_of(url)

    @property
    def broker(self) -> str:
        """The broker's address, the default resolved."""
        from app.adapters.celery_config import default_broker_url  # noqa: PLC0415 - `--help` must not load Celery

        return self.broker_url or default_broker_url(self.database_url)

    @property
    def results(self) -> str:
        """The result backend's address, the default resolved."""
        from app.adapters.celery_config import default_result_backend  # noqa: PLC0415 - as above

        return self.result_backend or default_result_backend(self.database_url)

    @property
    def broadcast(self) -> str:
        """The address that carries hints, the default resolved."""
        return self.broadcast_url or self.database_url

    @property
    def shows_graphiql(self) -> bool:
        """Whether browsers get GraphiQL, the default resolved."""
        return self.auth is AuthMode.DEMO if self.graphiql is None else self.graphiql

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """The names that others know the API by, as they stand in a `Host` header."""
        return _bracketed(self.host), _bracketed(_host_of(self.own_url))

    @property
    def own_url(self) -> str:
        """The API's address for others."""
        return self.public_url or f"http://{_bracketed(self.host)}:{self.port}"


def load_settings(**given: Any) -> Settings:
    """Settings from the environment, `.env` and, above both, what is given here; raises SettingsError."""
    return _load(Settings, given)


def load_database_settings(**given: Any) -> DatabaseSettings:
    """What concerns the database alone, for what needs nothing else; raises SettingsError."""
    return _load(DatabaseSettings, given)


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine; a name other than `localhost` might be any."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_S = TypeVar("_S", bound=DatabaseSettings)


def _load(kind: type[_S], given: dict[str, Any]) -> _S:
    try:
        return kind(**given)
    except ValidationError as error:
        raise SettingsError(_in_words(error)) from None


def _in_words(error: ValidationError) -> str:
    problems = [_problem(detail["loc"], detail["type"], detail["msg"]) for detail in error.errors(include_input=False)]
    return "\n".join(problems)


def _problem(location: tuple[int | str, ...], kind: str, message: str) -> str:
    text = message.removeprefix("Value error, ")
    if not location:
        return f"{text}."
    name = PREFIX + str(location[0]).upper()
    return f"{name} is not set." if kind == "missing" else f"{name}: {text[:1].lower()}{text[1:]}."


def _host_of(url: str) -> str:
    # A socket directory (`postgresql:///name`) and a file are on this machine.
    return urlsplit(url).hostname or "localhost"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
