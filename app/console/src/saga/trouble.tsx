import { useLanguage, useWords } from "../i18n";
import type { Dictionary } from "../i18n/en";
import { span } from "../i18n/format";
import { useNow } from "../ui/time";
import type { Saga } from "./live-saga";

/** What went wrong, what it means, and whether anybody has to do anything. */
export function Trouble({ saga, error }: { saga: Saga; error: NonNullable<Saga["error"]> }) {
  const words = useWords();
  const lang = useLanguage();
  const now = useNow();
  const help = words.saga.errorHelp;
  const wait = saga.nextAttemptAt === null ? null : Date.parse(saga.nextAttemptAt) - now;
  return (
    <section className="trouble" data-retryable={error.retryable || undefined} role={error.retryable ? "status" : "alert"}>
      <h2 className="mono">{error.code}</h2>
      <p>{error.code in help ? help[error.code as keyof Dictionary["saga"]["errorHelp"]] : null}</p>
      <p className="quiet">{error.message}</p>
      <p>{!error.retryable ? words.saga.personNeeded : wait === null || wait <= 0 ? words.saga.tryingNow : words.saga.nextTry(span(wait, lang))}</p>
    </section>
  );
}
