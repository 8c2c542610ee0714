"""The engine and the sagas: PostgreSQL and state machines; no web, no GitLab, no broker."""
