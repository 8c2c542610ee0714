import { useMemo } from "react";

import { useCatalogue } from "../api/catalogue";
import { useLanguage, useWords } from "../i18n";
import type { Dictionary } from "../i18n/en";
import { clock, day, moment } from "../i18n/format";
import { stepWords } from "../i18n/steps";
import type { Event, Saga } from "./live-saga";
import { CommitLink } from "./step-card";

/** What happened, newest first, as it happens. */
export function SagaJournal({ saga, events }: { saga: Saga; events: readonly Event[] }) {
  const words = useWords();
  const lang = useLanguage();
  const pages = useMemo(() => new Map(saga.steps.flatMap(({ commit }) => (commit === null ? [] : [[commit.sha, commit.webUrl] as const]))), [saga.steps]);
  const newest = [...events].reverse();
  return (
    <section className="journal" aria-labelledby="journal-title">
      <h2 id="journal-title">{words.saga.journal}</h2>
      <p className="sr">{words.saga.journalHint}</p>
      <ol tabIndex={0} aria-labelledby="journal-title">
        {newest.map((event, index) => {
          const date = day(event.occurredAt, lang);
          const before = newest[index - 1];
          return (
            <li key={event.version} data-type={event.type}>
              {(before === undefined || day(before.occurredAt, lang) !== date) && <h3>{date}</h3>}
              <Entry event={event} pages={pages} />
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function Entry({ event, pages }: { event: Event; pages: ReadonlyMap<string, string | null> }) {
  const words = useWords();
  const lang = useLanguage();
  const catalogue = useCatalogue();
  const { calculation, doing } = stepWords(event.toState, words, catalogue);
  const step = calculation === null ? doing : `${calculation}, ${doing.charAt(0).toLowerCase()}${doing.slice(1)}`;
  const data = event.data as Readonly<Record<string, unknown>>;
  const sha = text(data, "sha") ?? text(data, "commit");
  const note = text(data, "message") ?? text(data, "reason");
  const file = text(data, "file") ?? text(data, "outputFile") ?? text(data, "branch");
  return (
    <>
      <time dateTime={event.occurredAt} title={moment(event.occurredAt, lang)}>
        {clock(event.occurredAt, lang)}
      </time>
      <p>
        {said(event.type, step, words)}
        {event.actor !== "engine" && <span className="quiet"> · {event.actor}</span>}
      </p>
      <i className="version">{event.version}</i>
      <small>
        {sha !== null && <CommitLink commit={{ sha, webUrl: pages.get(sha) ?? null }} />} {file !== null && <span className="mono">{file}</span>}
        {note !== null && <span className={event.type === "FAILED" || event.type === "ATTEMPT_FAILED" ? "bad" : undefined}>{note}</span>}
      </small>
    </>
  );
}

/** An event in words; one that this build does not know is shown by its own name. */
function said(type: string, step: string, { events }: Dictionary): string {
  if (!(type in events)) return `${type}: ${step}`;
  const known = events[type as keyof Dictionary["events"]];
  return typeof known === "string" ? known : known(step);
}

function text(data: Readonly<Record<string, unknown>>, key: string): string | null {
  const value = data[key];
  return typeof value === "string" && value !== "" ? value : null;
}
