// graphql-http's own audit of a GraphQL-over-HTTP server, as it is published.
import { auditServer } from "graphql-http";

import { given, tell } from "./tell.mjs";

for (const result of await auditServer({ url: given.url })) {
  tell({ id: result.id, name: result.name, status: result.status, reason: result.reason ?? null });
}
