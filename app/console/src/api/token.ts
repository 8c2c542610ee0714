const KEY = "orchestrator.token";

/** The token of this browser tab: GraphiQL's field and ours are one. Closing the tab forgets it. */
export function token(): string {
  return (sessionStorage.getItem(KEY) ?? "").trim();
}

export function keepToken(entered: string): void {
  if (entered.trim() === "") sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, entered.trim());
}

/** What authenticates a request or a websocket: nothing where no token was entered, as in the demo. */
export function authorization(): Record<string, string> {
  const entered = token();
  return entered === "" ? {} : { Authorization: `Bearer ${entered}` };
}
