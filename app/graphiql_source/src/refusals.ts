import type { FormattedExecutionResult, GraphQLFormattedError } from "graphql";
import type { Client, Sink, SubscribePayload } from "graphql-ws";

/** The client, telling whatever ends a subscription in error as a result with `errors`, as an answer over HTTP would. */
export function withRefusalsAsResults(client: Client): Client {
  return {
    ...client,
    subscribe<Data, Extensions>(request: SubscribePayload, sink: Sink<FormattedExecutionResult<Data, Extensions>>) {
      return client.subscribe<Data, Extensions>(request, {
        ...sink,
        error: (cause) => {
          sink.next({ errors: errorsOf(cause) });
          sink.complete();
        },
      });
    },
  };
}

/** The server's refusal as it came, or why the connection closed or was not made. */
function errorsOf(cause: unknown): readonly GraphQLFormattedError[] {
  if (Array.isArray(cause)) return cause as readonly GraphQLFormattedError[];
  if (cause instanceof CloseEvent) return [{ message: `The connection closed: ${cause.code} ${cause.reason}`.trim() }];
  return [{ message: cause instanceof Error ? cause.message : "The connection failed." }];
}
