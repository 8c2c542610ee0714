"""Sagas that are the engine's work alone: the benchmark's 5 steps, one input, 5 steps, over a project that is in memory.

They are started and advanced over the public API like any other. The definition and the project stand here, in processes
of the test's own (`service_process`); the product knows neither.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha1
from pathlib import Path
from typing import Any

from gitlab_facade import GitLabFacade
from sagas.catalogue import Catalogue
from sagas.definition import SagaDefinition
from sagas.definitions import shipped_definitions
from sagas.ids import BlobId, CommitSha, ProjectId
from sagas.ports import AccessLevel, Branch, Commit, File, Issue, MergeRequest, Project, Rights
from tests.benchmarks import workload
from tests.world import CATALOGUE

CALCULATION = "engine_only"
"""The name under which `runCalculation` starts one."""
DEFINITION = f"calculation_{CALCULATION}"
FORM = workload.FORM
VALUES = {"load": 5}
PROJECT_PATH = "chaos/engine-only"
PROJECT_ID = ProjectId(900_000_001)
_HEAD = CommitSha("e" * 40)
_FILES = {"balance_input.json": b"{}\n", "condenser_input.json": b'{"load": 3}\n'}


def write_catalogue(path: Path) -> None:
    """The shipped catalogue and one more calculation, whose definition is replaced by the workload."""
    shipped = [calculation.to_json() for calculation in Catalogue.load().calculations]
    entry: dict[str, Any] = {
        **shipped[0],
        "name": CALCULATION,
        "title": {"en": "Engine only", "ru": "Только движок"},
        "input_file": f"{CALCULATION}_input.json",
        "output_file": f"{CALCULATION}_output.json",
        "task": "chaos.engine_only",
        "uses_files": [],
        "hydration": [],
        "input_schema": {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
    }
    path.write_text(json.dumps({"calculations": [*shipped, entry]}), encoding="utf-8")


def definitions(catalogue: Catalogue) -> Mapping[str, SagaDefinition]:
    """What the catalogue generates, with the workload in place of the calculation that only lends its name."""
    chart = replace(workload.definition(Catalogue.from_json(CATALOGUE)), name=DEFINITION)
    return {**shipped_definitions(catalogue), DEFINITION: chart}


class EngineOnlyForge(GitLabFacade):
    """GitLab, and one more project that answers from memory: every branch is there, and nothing can be written."""

    async def project(self, ref: ProjectId | str) -> Project | None:
        if ref in {PROJECT_PATH, PROJECT_ID}:
            url = f"http://127.0.0.1/{PROJECT_PATH}"
            return Project(PROJECT_ID, PROJECT_PATH, url, f"{url}.git", "main")
        return await super().project(ref)

    async def rights(self, project: ProjectId, user_id: int, *, external: bool = False) -> Rights:
        everybody = Rights(AccessLevel.DEVELOPER, code=True, issues=True)
        return everybody if project == PROJECT_ID else await super().rights(project, user_id, external=external)

    async def branch(self, project: ProjectId, name: str) -> Branch | None:
        if project == PROJECT_ID:
            return Branch(name, _HEAD, "http://127.0.0.1", protected=False, can_push=True)
        return await super().branch(project, name)

    async def issue_branches(self, project: ProjectId, iid: int) -> tuple[Branch, ...]:
        return () if project == PROJECT_ID else await super().issue_branches(project, iid)

    async def get_file_content(self, project: ProjectId, path: str, *, ref: str) -> File | None:
        if project != PROJECT_ID:
            return await super().get_file_content(project, path, ref=ref)
        content = _FILES.get(path)
        return None if content is None else File(path, content, _blob(content), _HEAD, _HEAD)

    async def blob_ids(self, project: ProjectId, paths: Sequence[str], *, ref: str) -> Mapping[str, BlobId | None]:
        if project != PROJECT_ID:
            return await super().blob_ids(project, paths, ref=ref)
        return {path: _blob(_FILES[path]) if path in _FILES else None for path in paths}

    async def commits(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str | None
    ) -> tuple[Commit, ...]:
        return () if project == PROJECT_ID else await super().commits(project, branch=branch, since=since, path=path)

    async def find_own_commit(
        self, project: ProjectId, *, branch: str, since: CommitSha | None, path: str, trailers: Mapping[str, str]
    ) -> Commit | None:
        if project == PROJECT_ID:
            return None
        return await super().find_own_commit(project, branch=branch, since=since, path=path, trailers=trailers)

    async def is_ancestor(self, project: ProjectId, *, ancestor: CommitSha, ref: str) -> bool:
        return project == PROJECT_ID or await super().is_ancestor(project, ancestor=ancestor, ref=ref)

    async def issue(self, project: ProjectId, iid: int) -> Issue | None:
        return None if project == PROJECT_ID else await super().issue(project, iid)

    async def merge_requests(
        self, project: ProjectId, *, source_branch: str, target_branch: str | None = None, state: str = "all"
    ) -> tuple[MergeRequest, ...]:
        if project == PROJECT_ID:
            return ()
        return await super().merge_requests(
            project, source_branch=source_branch, target_branch=target_branch, state=state
        )


def _blob(content: bytes) -> BlobId:
    return BlobId(sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest())
