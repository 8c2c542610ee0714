"""Stored definitions: a live saga runs from its own document, whatever a later release ships."""

from collections.abc import Iterable, Mapping

from sagas.definition import DefinitionError, SagaDefinition
from sagas.store.database import Connection, Database

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('saga_definition'))"
_KNOWN = "SELECT version FROM saga_definition WHERE name = $1 AND hash = $2"
_NEXT = """
INSERT INTO saga_definition (name, version, hash, document)
SELECT $1, coalesce(max(version), 0) + 1, $2, $3 FROM saga_definition WHERE name = $1
RETURNING version
"""
_DOCUMENT = "SELECT document FROM saga_definition WHERE name = $1 AND version = $2"
_ALL = "SELECT name, version, document FROM saga_definition"
_HAS_LIVE = """
SELECT EXISTS (
    SELECT FROM saga
    WHERE definition_name = $1 AND definition_version = $2 AND status NOT IN ('COMPLETED', 'CANCELLED')
)
"""


class DefinitionStore:
    """The definitions by name and version, each read once; `current` are those that new sagas begin under."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_version: dict[tuple[str, int], SagaDefinition] = {}
        self.current: Mapping[str, SagaDefinition] = {}

    async def register(self, shipped: Iterable[SagaDefinition]) -> None:
        """Store what this release ships: a document with an unknown hash gets the next version.

        Raises DefinitionError where a live saga's document needs a kind of step that this release does not know.
        """
        definitions = list(shipped)
        versions = await self._database.run(lambda connection: _store(connection, definitions), point="definitions")
        current = {}
        for definition in definitions:
            stored = SagaDefinition.from_document(definition.document, version=versions[definition.name])
            self._by_version[stored.name, stored.version] = current[stored.name] = stored
        self.current = current
        await self._check_live()

    async def get(self, name: str, version: int) -> SagaDefinition:
        """The definition that a saga began under.

        Raises DefinitionError where it is not stored, or cannot be run by this release.
        """
        known = self._by_version.get((name, version))
        if known is None:
            document = await self._database.read(lambda connection: connection.fetchval(_DOCUMENT, name, version))
            if document is None:
                raise DefinitionError(f"definition {name} version {version} is not stored")
            known = self._by_version[name, version] = SagaDefinition.from_document(document, version=version)
        return known

    async def _check_live(self) -> None:
        # Definitions are few and sagas many: only where a document cannot be run are its sagas asked for.
        for record in await self._database.read(lambda connection: connection.fetch(_ALL)):
            try:
                SagaDefinition.from_document(record["document"], version=record["version"])
            except DefinitionError as unknown:
                name, version = record["name"], record["version"]
                if await self._has_live(name, version):
                    raise DefinitionError(
                        f"live sagas run under {name} version {version}, which this release cannot: {unknown}. Let the "
                        "release that began them finish them first."
                    ) from unknown

    async def _has_live(self, name: str, version: int) -> bool:
        return bool(await self._database.read(lambda connection: connection.fetchval(_HAS_LIVE, name, version)))


async def _store(connection: Connection, definitions: list[SagaDefinition]) -> dict[str, int]:
    await connection.execute(_LOCK)
    versions = {}
    for definition in definitions:
        version = await connection.fetchval(_KNOWN, definition.name, definition.hash)
        if version is None:
            version = await connection.fetchval(_NEXT, definition.name, definition.hash, definition.document)
        versions[definition.name] = int(version)
    return versions
