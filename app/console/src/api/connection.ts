import { type Client, createClient } from "graphql-ws";

import { language } from "../i18n/language";
import { store } from "./store";
import { authorization } from "./token";

export type Link = "connecting" | "live" | "lost" | "refused";

export interface Connection {
  readonly link: Link;
  /** Counts the connections made: what was read before the newest one may have been overtaken meanwhile. */
  readonly epoch: number;
  /** Since when there is none; null while there is one. */
  readonly lostAt: number | null;
}

export const connection = store<Connection>({ link: "connecting", epoch: 0, lostAt: null });

const PING_MS = 8_000;
const PONG_MS = 4_000;
const LONGEST_WAIT_MS = 8_000;
const NOT_ACCEPTED = 4403;
/** A timer that comes this late means that the machine slept, and that the socket may be dead without knowing. */
const SLEPT_MS = 20_000;

/** The one websocket of this page; graphql-ws connects again by itself and repeats the live subscriptions. */
export const socket: Client = createClient({
  url: `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/graphql`,
  connectionParams: () => ({ ...authorization(), "Accept-Language": language.get() }),
  lazy: false,
  keepAlive: PING_MS,
  retryAttempts: Infinity,
  // Knocking again with the same token is of no use; the page asks for another one.
  shouldRetry: (event) => !refuses(event),
  onNonLazyError: () => undefined,
  retryWait: (tries) => patience(Math.min(LONGEST_WAIT_MS, 250 * 2 ** tries) * (0.7 + 0.6 * Math.random())),
  on: { connected: reached, closed: lost, ping: expectPong, pong: forgetPong },
});

function reached(): void {
  connection.set({ link: "live", epoch: connection.get().epoch + 1, lostAt: null });
}

function refuses(event: unknown): boolean {
  return event instanceof CloseEvent && event.code === NOT_ACCEPTED;
}

function lost(event: unknown): void {
  clearTimeout(pong);
  const { epoch, lostAt } = connection.get();
  connection.set({ link: refuses(event) ? "refused" : "lost", epoch, lostAt: lostAt ?? Date.now() });
}

let pong: ReturnType<typeof setTimeout> | undefined;

/** A network that was cut says nothing; an answer that stays out does. */
function expectPong(received: boolean): void {
  if (received) return;
  clearTimeout(pong);
  pong = setTimeout(() => socket.terminate(), PONG_MS);
}

function forgetPong(): void {
  clearTimeout(pong);
}

let hurry: () => void = () => undefined;

/** Waits, but no longer than until somebody looks again, or the network is back. */
function patience(ms: number): Promise<void> {
  return new Promise((resolve) => {
    hurry = resolve;
    setTimeout(resolve, ms);
  });
}

/** A new connection at once, such as with another token. */
export function reconnect(): void {
  socket.terminate();
  hurry();
}

// The service's own words come in the language that the connection was made with.
language.subscribe(reconnect);

let beat = Date.now();
setInterval(() => {
  const late = Date.now() - beat;
  beat = Date.now();
  if (late > SLEPT_MS) reconnect();
}, 5_000);
addEventListener("online", () => hurry());
addEventListener("offline", () => socket.terminate());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") hurry();
});
