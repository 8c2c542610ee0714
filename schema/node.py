"""What Relay calls global object identification."""

from abc import abstractmethod

import strawberry

from schema.resolver import resolver


@strawberry.interface(description="Anything that has a global id and can be fetched by it.")
class Node:
    """The interface of everything that `node(id:)` answers for."""

    @resolver(description="Globally unique and opaque; `node(id:)` takes it.")
    def id(self) -> strawberry.ID:
        """The same for the same thing, always."""
        return self.node_id()

    @abstractmethod
    def node_id(self) -> strawberry.ID:
        """The id, from what the type knows of itself."""
