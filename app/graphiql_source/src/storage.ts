/** The browser's store without headers: they may carry a token, and GraphiQL's history would keep them for ever. */
export const storage = {
  get length(): number {
    return localStorage.length;
  },
  getItem: (key: string): string | null => localStorage.getItem(key),
  removeItem: (key: string): void => localStorage.removeItem(key),
  clear: (): void => localStorage.clear(),
  setItem: (key: string, value: string): void => localStorage.setItem(key, withoutHeaders(value)),
};

function withoutHeaders(value: string): string {
  if (!value.startsWith("{")) return value;
  try {
    return JSON.stringify(JSON.parse(value), (key: string, part: unknown) => (key === "headers" ? null : part));
  } catch {
    return value;
  }
}
