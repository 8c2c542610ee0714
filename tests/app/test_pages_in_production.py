"""GraphiQL is for the demo, and elsewhere only where a setting says so; no page comes without its policy."""

import pytest

from app.main import web_access
from app.origins import WebAccess
from app.settings import Settings
from tests.app.api import Api
from tests.app.test_origins import reachable

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("auth", "graphiql", "shown"),
    [("demo", None, True), ("gitlab", None, False), ("gitlab", True, True), ("demo", False, False)],
)
def test_graphiql_is_shown_in_the_demo_and_where_it_is_asked_for(auth: str, graphiql: bool | None, shown: bool) -> None:
    settings = Settings(
        database_url="postgresql://127.0.0.1/x",
        gitlab_url="http://127.0.0.1:1",
        gitlab_token="t",
        auth=auth,
        graphiql=graphiql,
        _env_file=None,
    )
    assert web_access(settings).graphiql is shown


async def test_without_graphiql_a_browser_gets_an_error_and_nothing_leads_there(api: Api) -> None:
    async with reachable(api, WebAccess(graphiql=False)) as (_, http):
        page = await http.get("/graphql", headers=BROWSER)
        assert page.headers["content-type"].startswith("application/json")
        assert page.status_code == 400
        assert page.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        console = await http.get("/")
        assert console.status_code == 200
        assert "/graphql" not in console.text
    async with reachable(api, WebAccess()) as (_, http):
        assert (await http.get("/graphql", headers=BROWSER)).headers["content-type"].startswith("text/html")
        assert '"/graphql"' in (await http.get("/")).text


async def test_pages_come_under_their_policy_or_not_at_all(api: Api) -> None:
    for path in ("console.html", "explorer.html", "dist/index.html", "", "dist", "dist/", "./console.html"):
        assert (await api.http.get(f"/static/{path}")).status_code in {404, 405}, path
    assert (await api.http.get("/static/console.js")).status_code == 200


OUTSIDE = (
    "../web.py",
    "..%2fweb.py",
    "%2e%2e/web.py",
    "..%5cweb.py",
    "....//web.py",
    "/etc/passwd",
    "%2fetc/passwd",
    "dist/../../web.py",
    "dist/%2e%2e/%2e%2e/web.py",
    "console.js%00",
)


async def test_only_files_of_the_pages_are_served(api: Api) -> None:
    for path in OUTSIDE:
        answer = await api.http.get(f"http://orchestrator.test/static/{path}")
        assert answer.status_code in {404, 405}, path
        assert "build_app" not in answer.text
        assert "root:" not in answer.text


async def test_no_answer_may_be_taken_for_something_else(api: Api) -> None:
    for path in ("/graphql?query={viewer{id}}", "/healthz", "/nothing", "/openapi.json", "/"):
        assert (await api.http.get(path)).headers["x-content-type-options"] == "nosniff", path


async def test_nothing_is_redirected(api: Api) -> None:
    for method, path in (("POST", "/graphql/"), ("GET", "/graphql/?query={__typename}"), ("GET", "/healthz/")):
        answer = await api.http.request(method, path)
        assert (answer.status_code, "location" in answer.headers) == (404, False), path
