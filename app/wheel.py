"""Hatch's hook: a wheel carries the browser pages, so they are built before it is."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILDS = ("app/graphiql_source/build", "app/console/build")


class PagesHook(BuildHookInterface[Any]):
    """Builds GraphiQL and the web console; where Node cannot be had, the wheel has the small pages only, and says so."""

    PLUGIN_NAME = "pages"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the files are gathered. An editable install is of the source tree, where `make` builds them."""
        del build_data
        if version == "editable":
            return
        for build in BUILDS:
            subprocess.run([Path(self.root, build)], env={**os.environ, "PYTHON": sys.executable}, check=True)  # noqa: S603 - a script of our own
