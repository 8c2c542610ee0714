"""The JSON forms of things, as GitLab's API shows them."""

Json = dict[str, object]
