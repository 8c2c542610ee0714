"""GraphQL over HTTP as its specification says: the audit that graphql-http publishes, unmodified."""

from pathlib import Path

import pytest

from tests.app.served import served
from tests.npm.needs import NODE
from tests.npm.node import run

AUDITS = 61

pytestmark = NODE


async def test_every_audit_of_graphql_over_http_passes(
    database_url: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    async with served(database_url, tmp_path) as server:
        results = await run("http_audit.mjs", url=server.url)
        said = server.said()
    assert len(results) == AUDITS
    for audit in results:
        with subtests.test(f"{audit['id']} {audit['name']}"):
            assert audit["status"] == "ok", audit["reason"]
    assert "Traceback" not in said
