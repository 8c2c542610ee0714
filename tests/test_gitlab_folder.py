"""The folder `gitlab/` must never become a package: it would shadow python-gitlab's `gitlab` for whoever starts here."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

_PROBE = """
import gitlab, gitlab_facade, gitlab_emulator
assert gitlab.Gitlab.__module__ == "gitlab.client", gitlab.Gitlab.__module__
print(gitlab.__file__)
"""


def test_gitlab_is_python_gitlab_for_a_process_started_at_the_root() -> None:
    run = subprocess.run([sys.executable, "-c", _PROBE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not Path(run.stdout.strip()).is_relative_to(ROOT / "gitlab")


def test_the_folder_holds_no_init_file() -> None:
    assert (ROOT / "gitlab" / "gitlab_facade" / "__init__.py").exists()
    assert not (ROOT / "gitlab" / "__init__.py").exists()
