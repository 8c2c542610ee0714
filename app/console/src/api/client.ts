import { type Operation, Client, fetchExchange, subscriptionExchange } from "urql";

import { language } from "../i18n/language";
import { socket } from "./connection";
import { authorization } from "./token";

/**
 * Queries and mutations by POST, subscriptions over the websocket.
 *
 * There is no cache on purpose. Every saga carries a version, so whoever shows one merges what arrives by it: see
 * `sagas/live-sagas.ts`. A cache between the server and that rule would only be one more thing that can be stale.
 */
export const client = new Client({
  url: "/graphql",
  preferGetMethod: false,
  requestPolicy: "network-only",
  fetchOptions: () => ({ headers: { ...authorization(), "Accept-Language": language.get() } }),
  exchanges: [
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (request, operation) => ({
        subscribe: (sink) => ({
          unsubscribe: socket.subscribe(
            {
              query: request.query ?? "",
              // Read anew for every connection: a subscription goes on where it was cut, not where it began.
              get variables() {
                return { ...request.variables, ...resumption(operation) };
              },
            },
            { ...sink, next: (result) => sink.next(result as Parameters<typeof sink.next>[0]) },
          ),
        }),
      }),
    }),
  ],
});

/** What a subscription would say in place of its first variables, were it made now. */
export type Resume = () => Record<string, unknown>;

function resumption(operation: Operation): Record<string, unknown> {
  const { resume } = operation.context as { resume?: Resume };
  return resume === undefined ? {} : resume();
}
