import type { OperationResult } from "urql";

import { connection } from "./connection";

const TRIES = 30;
const PAUSE_MS = 1_500;

/**
 * Sends a wish until the service has answered it.
 *
 * A lost answer says nothing about what was done. The wish carries an idempotency key, so asking again does nothing
 * twice and tells what became of it. `waiting` is told each time that no answer came.
 */
export async function insist<Result extends OperationResult>(send: () => Promise<Result>, waiting: () => void): Promise<Result> {
  for (let tried = 1; ; tried += 1) {
    const result = await send();
    if (result.error?.networkError === undefined || tried === TRIES) return result;
    waiting();
    await Promise.all([pause(PAUSE_MS), reachable()]);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function reachable(): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (connection.get().link === "lost") return;
      stop();
      resolve();
    };
    const stop = connection.subscribe(look);
    look();
  });
}
