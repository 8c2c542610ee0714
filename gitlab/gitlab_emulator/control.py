"""The control API below `/emulator/`, for an administrator's token. It is described in `docs/emulator.md`."""

from gitlab_emulator.call import Identity
from gitlab_emulator.errors import ApiError, forbidden, plain, unauthorized, with_error
from gitlab_emulator.faults import FaultTable
from gitlab_emulator.lag import Lag, LagSettings
from gitlab_emulator.parameters import Parameters
from gitlab_emulator.replies import Reply, created, json_reply, no_content
from gitlab_emulator.request_log import RequestLog
from gitlab_emulator.version import VERSION


class Control:
    """Faults, lag and the request log, over HTTP."""

    def __init__(self, faults: FaultTable, lag: Lag, log: RequestLog) -> None:
        self._faults = faults
        self._lag = lag
        self._log = log

    def answer(self, method: str, name: str, params: Parameters, identity: Identity | None) -> Reply:
        """Answer `<method> /emulator/<name>`; `health` alone needs no token."""
        if name == "health" and method in ("GET", "HEAD"):
            return json_reply({"status": "ok", "version": VERSION})
        if identity is None:
            raise unauthorized()
        if not identity.user.is_admin:
            raise forbidden("Must be an administrator")
        actions = {
            ("POST", "faults"): lambda: created(self._faults.add(params).shown()),
            ("GET", "faults"): lambda: json_reply([fault.shown() for fault in self._faults.all()]),
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "lag"): lambda: self._set_lag(params),
            ("GET", "lag"): self._show_lag,
            ("GET", "requests"): lambda: json_reply(self._log.since(params.integer("since") or 0)),
            ("DELETE", "requests"): self._clear_log,
        }
        action = actions.get((method, name))
        if action is None:
            known = any(path == name for _, path in actions)
            raise plain(405) if known else ApiError(404, {"error": "404 Not Found"})
        return action()

    def _clear_faults(self) -> Reply:
        self._faults.clear()
        return no_content()

    def _clear_log(self) -> Reply:
        self._log.clear()
        return no_content()

    def _set_lag(self, params: Parameters) -> Reply:
        current = self._lag.settings
        self._lag.change(
            LagSettings(
                branch_list_s=_seconds(params, "branch_list_s", current.branch_list_s),
                merge_status_s=_seconds(params, "merge_status_s", current.merge_status_s),
                webhook_s=_seconds(params, "webhook_s", current.webhook_s),
                pretend_next_branch_page=params.boolean(
                    "pretend_next_branch_page", default=current.pretend_next_branch_page
                ),
            )
        )
        return self._show_lag()

    def _show_lag(self) -> Reply:
        return json_reply(dict(vars(self._lag.settings)))


def _seconds(params: Parameters, name: str, default: float) -> float:
    try:
        seconds = float(params.text(name, str(default)))
    except ValueError:
        raise with_error(f"{name} must be a number of seconds") from None
    if not 0 <= seconds <= 3600:
        raise with_error(f"{name} must be between 0 and 3600 seconds")
    return seconds
