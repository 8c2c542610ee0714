"""What these tests need beside Python: Node and the packages of `package-lock.json`.

Skipped where they are missing, but a failure in CI.
"""

import os

import pytest

from tests.npm.node import FOLDER

INSTALLED = (FOLDER / "node_modules" / ".installed").is_file()
NODE = pytest.mark.skipif(
    not INSTALLED and "CI" not in os.environ, reason="the npm packages are not installed: tests/npm/install does it"
)
