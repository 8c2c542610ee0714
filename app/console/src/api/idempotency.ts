/** A key that nobody else has. One wish keeps its key over all tries, so that it is never done twice. */
export function newKey(): string {
  // Not crypto.randomUUID: browsers give that to https pages only, and many plants have none inside.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
