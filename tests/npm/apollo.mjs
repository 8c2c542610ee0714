// Apollo Client as it is: queries and mutations over HTTP, a subscription over graphql-ws or over multipart answers.
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { CombinedGraphQLErrors } from "@apollo/client/errors";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { given, tell } from "./tell.mjs";

const headers = { Authorization: `Bearer ${given.token}` };
const http = new HttpLink({ uri: given.url, headers });
const sockets = new GraphQLWsLink(
  createClient({ url: given.socket, webSocketImpl: WebSocket, connectionParams: headers }),
);
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link:
    given.over === "websocket"
      ? ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, sockets, http)
      : http,
  defaultOptions: { query: { errorPolicy: "all" }, mutate: { errorPolicy: "all" } },
});

function answer({ data, error }) {
  const codes = CombinedGraphQLErrors.is(error) ? error.errors.map((one) => one.extensions.code) : [];
  return { data: data ?? null, ...(error && { codes, network: codes.length ? null : error.message }) };
}

tell(answer(await client.query({ query: gql(given.query), variables: given.variables })));
tell(answer(await client.query({ query: gql("{ nothing }") })));
tell(answer(await client.mutate({ mutation: gql(given.mutation), variables: given.mutationVariables })));
client.subscribe({ query: gql(given.subscription), variables: given.variables }).subscribe({
  next: (result) => tell(answer(result)),
  error: (error) => tell(answer({ error })),
  complete: () => tell({ completed: true }),
});
process.stdin.once("data", () => process.exit(0));
