"""The web console's pages and files over HTTP; what they do is shown in a browser, in tests/browser."""

import gzip
from pathlib import Path

import pytest

from app import explorer
from tests.app.api import Api

PAGE = '<!doctype html><meta name="graphiql" content="/graphql"><title>console</title>'
SCRIPT = "console.log('it works')"


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A build of the console, reduced to what serving it needs; before the service is made."""
    assets = tmp_path / "assets"
    assets.mkdir()
    (tmp_path / "index.html").write_text(PAGE)
    (assets / "index-1234.js").write_text(SCRIPT)
    (assets / "index-1234.js.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    (assets / "font-1234.woff2").write_bytes(b"font")
    monkeypatch.setattr(explorer, "CONSOLE_BUILD", tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", ["/", "/sagas", "/sagas/U2FnYTox", "/issues", "/geometries"])
async def test_each_page_can_be_opened_by_its_address(build: Path, api: Api, path: str) -> None:
    answer = await api.http.get(path)
    assert answer.status_code == 200
    assert "<title>console</title>" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/saga/calculate-balance", 405), ("GET", "/nothing", 404), ("POST", "/sagas", 405)],
)
async def test_other_addresses_keep_their_meaning(build: Path, api: Api, method: str, path: str, status: int) -> None:
    answer = await api.http.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_files_are_compressed_for_those_who_take_it_and_kept_by_browsers(build: Path, api: Api) -> None:
    path = "/static/console/assets/index-1234.js"
    small = await api.http.get(path, headers={"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["content-type"].startswith("text/javascript")
    plain = await api.http.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert small.text == plain.text == SCRIPT
    for answer in (small, plain):
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["vary"] == "Accept-Encoding"
    font = await api.http.get("/static/console/assets/font-1234.woff2", headers={"Accept-Encoding": "gzip"})
    assert font.content == b"font"


async def test_the_page_itself_is_not_among_the_files(build: Path, api: Api) -> None:
    assert (await api.http.get("/static/console/index.html")).status_code == 404


async def test_without_a_build_a_small_page_stands_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, api: Api
) -> None:
    monkeypatch.setattr(explorer, "CONSOLE_BUILD", tmp_path / "nothing")
    answer = await api.http.get("/sagas")
    assert answer.status_code == 200
    assert "How it does" in answer.text
