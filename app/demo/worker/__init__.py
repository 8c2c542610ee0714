"""The demo worker: a Celery process that calculates and pushes results, as Balance+ workers do (docs/workers.md)."""
