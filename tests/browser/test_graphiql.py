"""GraphiQL in a real browser: it works under the page's own Content-Security-Policy and needs no other host."""

import pytest
from playwright.async_api import expect

from sagas.models import SagaStatus
from tests.app.api import Api, saga_id
from tests.browser import needs
from tests.browser.visit import PATIENCE_MS, GraphiQL, Visit
from tests.support import eventually
from tests.world import World

pytestmark = [needs.CHROMIUM, needs.GRAPHIQL]


@pytest.fixture
async def graphiql(visit: Visit) -> GraphiQL:
    opened = GraphiQL(visit)
    await opened.open()
    return opened


async def test_a_query_is_answered_as_the_token_s_user(graphiql: GraphiQL, visit: Visit) -> None:
    await graphiql.token.fill("irina")
    await graphiql.run()
    await graphiql.shows('"username": "irina"')
    assert visit.posted[-1].headers["authorization"] == "Bearer irina"
    await visit.photograph()


async def test_without_a_token_none_is_sent_and_the_refusal_is_shown(graphiql: GraphiQL, visit: Visit) -> None:
    await graphiql.run()
    await graphiql.shows("UNAUTHENTICATED")
    assert all("authorization" not in request.headers for request in visit.posted)


async def test_the_token_stays_in_its_browser_tab_and_nowhere_else(graphiql: GraphiQL, visit: Visit) -> None:
    await graphiql.token.fill("glpat-secret-of-irina")
    await graphiql.run()
    await graphiql.shows("UNAUTHENTICATED")
    assert "glpat-secret-of-irina" in await visit.stored("sessionStorage")
    assert "glpat-secret-of-irina" not in await visit.stored("localStorage")
    await visit.page.reload()
    await expect(graphiql.token).to_have_value("glpat-secret-of-irina", timeout=PATIENCE_MS)


async def test_a_subscription_shows_every_event_and_the_next_ones_as_they_happen(
    graphiql: GraphiQL, visit: Visit, world: World
) -> None:
    saga = await world.start()
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    told = len(await world.journal(saga.id))
    await graphiql.token.fill("irina")
    await graphiql.tab("WatchSaga")
    await graphiql.fill_in({"sagaId": saga_id(saga)})
    await visit.page.get_by_role("button", name="Show Events").click()
    await graphiql.run()
    events = visit.page.get_by_label("Results of the subscription").locator("li")
    await expect(events).to_have_count(told, timeout=PATIENCE_MS)
    await expect(events.last).to_contain_text('"STARTED"')
    await graphiql.shows(f'"version": {told}')
    assert visit.frames[0] == {"type": "connection_init", "payload": {"Authorization": "Bearer irina"}}
    await world.give(saga.id, "condenser")
    await expect(events.filter(has_text='"INPUT_RECEIVED"')).to_have_count(1, timeout=PATIENCE_MS)
    await visit.photograph()


async def test_stopping_a_subscription_frees_it_on_the_server(graphiql: GraphiQL, api: Api, world: World) -> None:
    saga = await world.start()
    await world.reaches(saga.id, "AWAIT_USER_CONDENSER_INPUT", SagaStatus.AWAITING_INPUT)
    await graphiql.token.fill("irina")
    await graphiql.tab("WatchSaga")
    await graphiql.fill_in({"sagaId": saga_id(saga)})
    await graphiql.run()
    await graphiql.shows('"AWAITING_INPUT"')
    assert len(api.feed.subscribers) == 1
    await graphiql.page.get_by_role("button", name="Stop query").click()
    await eventually(lambda: api.feed.subscribers == [], what="the subscription is let go")


async def test_a_refused_subscription_shows_its_error(graphiql: GraphiQL, world: World) -> None:
    saga = await world.start()
    await graphiql.token.fill("irina")
    await graphiql.tab("WatchSaga")
    await graphiql.fill_in({"sagaId": saga_id(saga), "afterVersion": 4000})
    await graphiql.run()
    await graphiql.shows("VERSION_AHEAD")


async def test_a_subscription_with_an_unknown_token_shows_that_it_was_refused(graphiql: GraphiQL, world: World) -> None:
    saga = await world.start()
    await graphiql.token.fill("nobody")
    await graphiql.tab("WatchSaga")
    await graphiql.fill_in({"sagaId": saga_id(saga)})
    await graphiql.run()
    await graphiql.shows("The connection closed: 4403")


async def test_the_headers_pane_wins_over_the_token_field(graphiql: GraphiQL, visit: Visit) -> None:
    await graphiql.token.fill("irina")
    await graphiql.send_headers({"Authorization": "Bearer pavel"})
    await graphiql.run()
    await graphiql.shows('"username": "pavel"')

    async def remembered() -> bool:
        return "MyIssues" in await visit.stored("localStorage")

    await eventually(remembered)
    assert "pavel" not in await visit.stored("localStorage"), "the history keeps the operation, not its headers"


async def test_a_mutation_starts_a_saga(graphiql: GraphiQL, visit: Visit, world: World) -> None:
    await graphiql.token.fill("irina")
    await graphiql.tab("StartBalance")
    await graphiql.fill_in({"input": {"projectPath": world.project.path, "branch": "issue/1-test"}})
    await graphiql.run()
    await graphiql.shows('"created": true')
    await graphiql.run()
    await graphiql.shows('"created": false')
    await visit.photograph()


async def test_the_documentation_pane_describes_the_schema(graphiql: GraphiQL, visit: Visit) -> None:
    await visit.page.get_by_role("button", name="Show Documentation Explorer").click()
    docs = visit.page.locator(".graphiql-doc-explorer")
    await docs.get_by_role("link", name="Subscription").click()
    await expect(docs).to_contain_text("sagaEvents", timeout=PATIENCE_MS)
    await visit.photograph()


async def test_the_editor_underlines_what_the_schema_does_not_have(graphiql: GraphiQL, visit: Visit) -> None:
    await graphiql.ask("{ viewer { shoeSize } }")
    await expect(visit.page.locator(".graphiql-query-editor .squiggly-error").first).to_be_visible(timeout=PATIENCE_MS)
