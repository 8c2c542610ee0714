// graphql-sse's own client: follows a saga's events over any number of broken connections, and tells each that it sees.
import { createClient } from "graphql-sse";

import { given, tell } from "./tell.mjs";

const client = createClient({
  url: given.url,
  headers: async () => ({ Authorization: `Bearer ${given.token}` }),
  retryAttempts: Infinity,
  retry: () => new Promise((resolve) => setTimeout(resolve, 20 + 50 * Math.random())),
  on: { connecting: (again) => tell({ connecting: again }) },
});

let newest = 0;
const variables = {
  saga: given.saga,
  // The client sends this object anew after each break, and then the getter tells what was seen last.
  get after() {
    return newest;
  },
};

for await (const { data, errors } of client.iterate({ query: given.query, variables })) {
  if (data?.sagaEvents) newest = data.sagaEvents.version;
  tell(errors ? { codes: errors.map((error) => error.extensions.code) } : { data });
}
tell({ completed: true });
client.dispose();
