import { useSyncExternalStore } from "react";

import { moment, span } from "../i18n/format";
import { useLanguage } from "../i18n";

let now = Date.now();
const listeners = new Set<() => void>();
setInterval(() => {
  now = Date.now();
  for (const listener of listeners) listener();
}, 1_000);

function follow(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The time, in steps of `resolution` ms: whatever shows minutes need not be drawn each second. */
export function useNow(resolution = 1_000): number {
  return useSyncExternalStore(follow, () => Math.floor(now / resolution) * resolution);
}

/** How long ago something began; the exact moment is told on pointing at it. */
export function Since({ at, until = null }: { at: string; until?: string | null }) {
  const lang = useLanguage();
  const began = Date.parse(at);
  const live = useNow(1_000);
  const end = until === null ? Math.max(live, began) : Date.parse(until);
  return (
    <time dateTime={at} title={moment(at, lang)}>
      {span(end - began, lang)}
    </time>
  );
}
