"""The worker's errors: what fails a task for good, and what is worth another try.

CalculationFailed      the task's own fault: Celery's FAILURE, with a text for the engineer
GitUnavailable         git's server is away or answers nonsense: another try after a pause
PushRefused            somebody else pushed first: look again, build the commit anew
"""


class CalculationFailed(Exception):  # noqa: N818  its name is shown to users as the result's type
    """The task cannot succeed as it stands; the one argument is the text that the engineer reads.

    Only one text argument, so that every Celery serialiser carries it to the producer's side unharmed.
    """


class GitUnavailable(Exception):  # noqa: N818 - its name says what is wrong
    """The repository could not be reached, or its answer was lost."""


class PushRefused(Exception):  # noqa: N818 - as above
    """The branch has moved since it was fetched."""
