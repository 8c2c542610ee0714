import type { CombinedError } from "urql";

import { useWords } from "../i18n";
import type { Dictionary } from "../i18n/en";

/** An error in words that say what to do; below them the service's own. */
export function Problem({ error, again }: { error: CombinedError; again?: () => void }) {
  const words = useWords();
  return (
    <div className="problem" role="alert">
      <p>{explained(error, words)}</p>
      {again !== undefined && <button onClick={again}>{words.errors.again}</button>}
    </div>
  );
}

export function explained(error: CombinedError, words: Dictionary): string {
  const [first] = error.graphQLErrors;
  if (first === undefined) return words.errors.network;
  const code = String(first.extensions["code"] ?? "");
  return code in words.errors ? words.errors[code as "NOT_FOUND"] : first.message;
}
