import { createGraphiQLFetcher, type Fetcher } from "@graphiql/toolkit";
import { createClient } from "graphql-ws";

import { recorded } from "./events";
import { withRefusalsAsResults } from "./refusals";
import { authorization } from "./token";

const ENDPOINT = "/graphql";
const SOCKET = `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${ENDPOINT}`;

/**
 * Queries and mutations by POST, each subscription over a graphql-transport-ws connection of its own.
 *
 * The token of the moment goes along in the headers, and in `connection_init`; the headers pane wins over it.
 */
export const fetcher: Fetcher = (request, options) => {
  const headers: Record<string, string> = { ...authorization(), ...options?.headers };
  const socket = createClient({
    url: SOCKET,
    connectionParams: headers,
    // A second try would repeat the first variables, so every event would come twice. A lost connection is told instead.
    retryAttempts: 0,
  });
  const wsClient = recorded(withRefusalsAsResults(socket));
  return createGraphiQLFetcher({ url: ENDPOINT, wsClient })(request, { ...options, headers });
};
