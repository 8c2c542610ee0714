import type { GraphiQLPlugin } from "@graphiql/react";
import type { FormattedExecutionResult } from "graphql";
import type { Client, Sink, SubscribePayload } from "graphql-ws";
import { useSyncExternalStore } from "react";

/** Results of the latest subscription that the pane keeps; older ones make room. */
const KEPT = 500;

interface Result {
  readonly number: number;
  readonly time: string;
  readonly text: string;
}

interface Recording {
  readonly title: string;
  readonly results: readonly Result[];
  readonly total: number;
}

let recording: Recording = { title: "", results: [], total: 0 };
const listeners = new Set<() => void>();

function show(next: Recording): void {
  recording = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The client, with a record of what each subscription tells: GraphiQL's own answer shows only the newest result. */
export function recorded(client: Client): Client {
  return {
    ...client,
    subscribe<Data, Extensions>(request: SubscribePayload, sink: Sink<FormattedExecutionResult<Data, Extensions>>) {
      let mine: Recording = { title: request.operationName ?? "Subscription", results: [], total: 0 };
      show(mine);
      return client.subscribe<Data, Extensions>(request, {
        ...sink,
        next: (result) => {
          mine = extended(mine, result);
          show(mine);
          sink.next(result);
        },
      });
    },
  };
}

function extended({ title, results, total }: Recording, result: unknown): Recording {
  const entry = { number: total + 1, time: new Date().toLocaleTimeString(), text: JSON.stringify(result, null, 2) };
  return { title, results: [entry, ...results].slice(0, KEPT), total: entry.number };
}

function EventsPane() {
  const { title, results, total } = useSyncExternalStore(subscribe, () => recording);
  if (title === "") return <p className="subscription-events">Run a subscription: each of its results is listed here.</p>;
  return (
    <section className="subscription-events" aria-label="Results of the subscription">
      <h2>
        {title}: {total}
      </h2>
      <ol>
        {results.map(({ number, time, text }) => (
          <li key={number}>
            <time>
              #{number} {time}
            </time>
            <pre>{text}</pre>
          </li>
        ))}
      </ol>
    </section>
  );
}

function EventsIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <path d="M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01" strokeLinecap="round" />
    </svg>
  );
}

/** A pane with everything that the latest subscription has told, newest first. */
export const eventsPlugin: GraphiQLPlugin = { title: "Events", icon: EventsIcon, content: EventsPane };
