"""What clients may take: the settings `ORCHESTRATOR_LIMIT_…` and what else is kept from them."""

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, Field

from app.setting_types import Duration
from schema.limits import SHIPPED, Limits


class LimitSettings(BaseModel):
    """A part of `Settings`. Each is checked before anything of an operation runs, and named in the error LIMIT_EXCEEDED."""

    limit_tokens: int = Field(
        default=SHIPPED.tokens,
        ge=100,
        le=100_000,
        description="Tokens of a GraphQL document (names, braces and so on).",
    )
    limit_operations: int = Field(
        default=SHIPPED.operations, ge=1, le=1000, description="Operations in one GraphQL document."
    )
    limit_fragments: int = Field(
        default=SHIPPED.fragments, ge=0, le=200, description="Fragments in one GraphQL document."
    )
    limit_directives: int = Field(
        default=SHIPPED.directives, ge=0, le=10_000, description="Directives in one GraphQL document."
    )
    limit_depth: int = Field(default=SHIPPED.depth, ge=5, le=50, description="Levels of fields of an operation.")
    limit_aliases: int = Field(
        default=SHIPPED.aliases, ge=0, le=10_000, description="Aliases of an operation, its fragments put in."
    )
    limit_fields: int = Field(
        default=SHIPPED.fields, ge=50, le=100_000, description="Fields of an operation, its fragments put in."
    )
    limit_overlaps: int = Field(
        default=SHIPPED.overlaps,
        ge=100,
        le=1_000_000,
        description="Pairs of an operation's fields that stand for the same place of the answer and must be compared.",
    )
    limit_cost: int = Field(
        default=SHIPPED.cost,
        ge=1000,
        le=10_000_000,
        description=(
            "Fields that an operation may answer, each counted as often as the pages around it can repeat it; one that "
            "asks GitLab counts as ten."
        ),
    )
    limit_body: int = Field(
        default=SHIPPED.body, ge=1000, le=100_000_000, description="Bytes of a request's body or a websocket's message."
    )
    limit_deadline: Duration = Field(
        default=SHIPPED.deadline,
        gt=timedelta(0),
        le=timedelta(minutes=10),
        description="How long a query or mutation may take.",
    )
    limit_rate: int = Field(
        default=SHIPPED.rate,
        ge=1,
        description=(
            "Points that a user may spend in a minute, per process: a point is a hundred fields of `LIMIT_COST`, and every "
            "operation costs at least one."
        ),
    )
    limit_subscriptions_per_connection: int = Field(
        default=SHIPPED.subscriptions_per_connection, ge=1, description="Operations under way at once on a websocket."
    )
    limit_subscriptions_per_user: int = Field(
        default=SHIPPED.subscriptions_per_user, ge=1, description="A user's subscriptions at once, per process."
    )
    limit_connections: int = Field(
        default=SHIPPED.connections,
        ge=1,
        description="Websockets and streams at once, per process; who comes beyond is told to come again.",
    )
    introspection: bool = Field(default=True, description="Whether the schema may be asked for over the API.")
    suggestions: bool = Field(
        default=True, description="Whether errors suggest the names that may have been meant (Did you mean …?)."
    )
    trusted_documents: Path | None = Field(
        default=None,
        description=(
            "A manifest of trusted documents (JSON, from sha256 to document), which clients may name instead of sending "
            "them; `orchestrator trust` makes one."
        ),
    )
    trusted_documents_only: bool = Field(
        default=False, description="Whether only documents of the manifest may run, over HTTP and websockets."
    )

    @property
    def limits(self) -> Limits:
        """All of them, as the API takes them."""
        return Limits(
            tokens=self.limit_tokens,
            operations=self.limit_operations,
            fragments=self.limit_fragments,
            directives=self.limit_directives,
            depth=self.limit_depth,
            aliases=self.limit_aliases,
            fields=self.limit_fields,
            overlaps=self.limit_overlaps,
            cost=self.limit_cost,
            body=self.limit_body,
            deadline=self.limit_deadline,
            rate=self.limit_rate,
            subscriptions_per_connection=self.limit_subscriptions_per_connection,
            subscriptions_per_user=self.limit_subscriptions_per_user,
            connections=self.limit_connections,
            introspection=self.introspection,
            suggestions=self.suggestions,
        )
