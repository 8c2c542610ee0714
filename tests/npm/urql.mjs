// urql as it is: queries and mutations over HTTP, a subscription over graphql-ws or over server-sent events.
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { given, tell } from "./tell.mjs";

const headers = { Authorization: `Bearer ${given.token}` };
const sockets = createClient({ url: given.socket, webSocketImpl: WebSocket, connectionParams: headers });
const overWebsocket = subscriptionExchange({
  forwardSubscription: (request) => ({
    subscribe: (sink) => ({ unsubscribe: sockets.subscribe({ ...request, query: request.query ?? "" }, sink) }),
  }),
});
const client = new Client({
  url: given.url,
  fetchOptions: { headers },
  exchanges: given.over === "websocket" ? [overWebsocket, fetchExchange] : [fetchExchange],
  fetchSubscriptions: given.over !== "websocket",
});

function answer({ data, error }) {
  const codes = error?.graphQLErrors.map((one) => one.extensions.code);
  return { data: data ?? null, ...(error && { codes, network: error.networkError?.message ?? null }) };
}

tell(answer(await client.query(given.query, given.variables).toPromise()));
tell(answer(await client.query("{ nothing }", {}).toPromise()));
tell(answer(await client.mutation(given.mutation, given.mutationVariables).toPromise()));
client.subscription(given.subscription, given.variables).subscribe((result) => tell(answer(result)));
process.stdin.once("data", () => process.exit(0));
