// graphql-ws's own client: follows a saga's events over any number of broken connections, and tells each that it sees.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { given, tell } from "./tell.mjs";

const client = createClient({
  url: given.url,
  webSocketImpl: WebSocket,
  connectionParams: async () => ({ Authorization: `Bearer ${given.token}` }),
  retryAttempts: Infinity,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 20 + 50 * Math.random())),
  on: { closed: (event) => tell({ closed: event.code }), connected: () => tell({ connected: true }) },
});

let newest = 0;
const variables = {
  saga: given.saga,
  // The client sends this object anew after each break, and then the getter tells what was seen last.
  get after() {
    return newest;
  },
};

await new Promise((resolve, reject) => {
  client.subscribe(
    { query: given.query, variables },
    {
      next: ({ data, errors }) => {
        if (errors) reject(errors);
        newest = data.sagaEvents.version;
        tell({ version: newest, type: data.sagaEvents.type });
      },
      error: reject,
      complete: resolve,
    },
  );
});
tell({ completed: true });
await client.dispose();
