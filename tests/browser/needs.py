"""What browser tests need beside Python: skipped where it is missing, but a failure in CI."""

import pytest

from app import explorer
from tests.browser.visit import CHROMIUM as FOUND
from tests.browser.visit import IN_CI

_BUILT = (explorer.BUILD / "index.html").is_file()

CHROMIUM = pytest.mark.skipif(FOUND is None and not IN_CI, reason="no Chromium here: tests/install-services gets it")
GRAPHIQL = pytest.mark.skipif(not _BUILT and not IN_CI, reason="GraphiQL is not built: `make graphiql` does it")
CONSOLE = pytest.mark.skipif(
    not (explorer.CONSOLE_BUILD / "index.html").is_file() and not IN_CI,
    reason="the console is not built: `make console` does it",
)
