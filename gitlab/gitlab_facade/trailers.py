"""Git trailers: the `Key: value` lines that end a commit message."""

import re

_TRAILER = re.compile(r"(?P<key>[A-Za-z0-9-]+)\s*:\s*(?P<value>.*)")


def parse_trailers(message: str) -> dict[str, str]:
    """The trailers of the message's last paragraph, the last value of each key, as GitLab's `trailers` shows them.

    As for git, the title is never a trailer block.
    """
    paragraphs = re.split(r"\n\s*\n", message.strip())
    if len(paragraphs) < 2:
        return {}
    matches = [_TRAILER.fullmatch(line) for line in paragraphs[-1].splitlines()]
    return {match["key"]: match["value"].strip() for match in matches if match}
