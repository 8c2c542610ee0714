import "./page.css";

import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation, useSearchParams } from "wouter";

import { client } from "../api/client";
import { newKey } from "../api/idempotency";
import { insist } from "../api/insist";
import { useStore } from "../api/store";
import type { IssueState } from "../gql/graphql";
import { useLanguage, useWords } from "../i18n";
import { day } from "../i18n/format";
import { stepWords } from "../i18n/steps";
import { titleOf, useCatalogue } from "../api/catalogue";
import { explained, Problem } from "../ui/problem";
import { ProgressBar } from "../ui/progress";
import { Status } from "../ui/status";
import { useTitle } from "../ui/title";
import { Start } from "./documents";
import { type Issue, LiveIssues } from "./live-issues";

const STATES: readonly IssueState[] = ["OPENED", "CLOSED", "ALL"];
const ENDED = new Set(["COMPLETED", "CANCELLED"]);

/** My issues, each with its branch and its sagas: where the work begins. */
export default function IssuesPage() {
  const words = useWords();
  useTitle(words.issues.title);
  const [params, setParams] = useSearchParams();
  const search = params.get("q") ?? "";
  const state = STATES.find((known) => known === params.get("state")) ?? "OPENED";
  const key = useDeferredValue(JSON.stringify({ state, search }));
  const live = useMemo(() => new LiveIssues(JSON.parse(key)), [key]);
  useEffect(() => {
    live.open();
    return () => live.close();
  }, [live]);
  const { issues, more, state: reading, error } = useStore(live.listed);
  const change = (next: { q?: string; state?: IssueState }) => {
    const asked = { q: search, state, ...next };
    const written = new URLSearchParams();
    if (asked.q !== "") written.set("q", asked.q);
    if (asked.state !== "OPENED") written.set("state", asked.state);
    setParams(written, { replace: true });
  };
  return (
    <main id="content" className="page issues" tabIndex={-1} aria-busy={reading === "loading"}>
      <header className="page-head">
        <h1>{words.issues.title}</h1>
        <p className="quiet">{words.issues.hint}</p>
      </header>
      <search className="filters">
        <input type="search" aria-label={words.sagas.search} placeholder={words.issues.searchHint} value={search} onChange={(event) => change({ q: event.target.value })} />
        <select aria-label={words.issues.state} value={state} onChange={(event) => change({ state: event.target.value as IssueState })}>
          {STATES.map((choice) => (
            <option key={choice} value={choice}>
              {words.issues.states[choice]}
            </option>
          ))}
        </select>
      </search>
      {error !== null && <Problem error={error} again={() => void live.read()} />}
      {reading === "loading" && <p className="quiet">{words.issues.loading}</p>}
      {reading === "shown" && issues.length === 0 && <p className="empty">{words.issues.none}</p>}
      <ul className="issue-list">
        {issues.map((issue) => (
          <IssueRow key={issue.id} issue={issue} />
        ))}
      </ul>
      {more && <button onClick={() => void live.more()}>{words.issues.more}</button>}
    </main>
  );
}

function IssueRow({ issue }: { issue: Issue }) {
  const words = useWords();
  const lang = useLanguage();
  const sagas = issue.sagas.edges.map(({ node }) => node).filter(({ definition }) => definition.name !== "merge_request");
  const active = sagas.find(({ status, definition }) => definition.name === "balance" && !ENDED.has(status));
  const titleId = `issue-${issue.id}`;
  return (
    <li className="issue" aria-labelledby={titleId}>
      <div className="issue-what">
        <h2 id={titleId}>
          <a href={issue.webUrl} target="_blank" rel="noreferrer">
            <span className="iid">#{issue.iid}</span> {issue.title}
          </a>
        </h2>
        <p className="issue-facts">
          <span>{issue.projectPath}</span>
          {issue.branch !== null && <span className="mono">{issue.branch}</span>}
          {issue.dueDate !== null && <span>{words.issues.due(day(issue.dueDate, lang))}</span>}
          {issue.labels.map((label) => (
            <span key={label} className="label">
              {label}
            </span>
          ))}
        </p>
      </div>
      <SagasOfIssue sagas={sagas} />
      <div className="issue-do">
        {active === undefined ? (
          <StartButton issue={issue} described={titleId} again={sagas.length > 0} />
        ) : (
          <Link className="button primary" href={`/sagas/${encodeURIComponent(active.id)}`} aria-describedby={titleId}>
            {active.status === "AWAITING_INPUT" ? words.issues.fillIn : words.issues.open}
          </Link>
        )}
      </div>
    </li>
  );
}

function SagasOfIssue({ sagas }: { sagas: readonly Issue["sagas"]["edges"][number]["node"][] }) {
  const words = useWords();
  const catalogue = useCatalogue();
  if (sagas.length === 0) return <p className="quiet issue-sagas">{words.issues.noSaga}</p>;
  return (
    <ul className="issue-sagas">
      {sagas.slice(0, 3).map((saga) => {
        const { calculation, doing } = stepWords(saga.state, words, catalogue);
        return (
          <li key={saga.id}>
            <Link href={`/sagas/${encodeURIComponent(saga.id)}`} aria-label={`${titleOf(catalogue.definitions, saga.definition.name)}: ${words.status[saga.status]}`}>
              <Status status={saga.status} />
            </Link>
            <ProgressBar progress={saga.progress} status={saga.status} />
            {!ENDED.has(saga.status) && (
              <small>
                {calculation ?? doing}
                {calculation !== null && `: ${doing.toLowerCase()}`}
              </small>
            )}
          </li>
        );
      })}
    </ul>
  );
}

function StartButton({ issue, described, again }: { issue: Issue; described: string; again: boolean }) {
  const words = useWords();
  const [, go] = useLocation();
  const wish = useRef(newKey());
  const [busy, setBusy] = useState(false);
  const [problem, tell] = useState<string | null>(null);
  const start = async () => {
    setBusy(true);
    const input = { projectPath: issue.projectPath, issueIid: issue.iid, idempotencyKey: wish.current };
    const { data, error } = await insist(
      () => client.mutation(Start, { input }).toPromise(),
      () => tell(words.actions.waiting),
    );
    setBusy(false);
    tell(null);
    const answer = data?.startBalanceCalculation;
    if (error !== undefined) tell(error.networkError === undefined ? explained(error, words) : words.actions.noAnswer);
    else if (answer?.saga) go(`/sagas/${encodeURIComponent(answer.saga.id)}`);
    else {
      wish.current = newKey();
      tell(answer?.userErrors.map(({ message }) => message).join(" ") ?? null);
    }
  };
  return (
    <>
      <button className={again ? undefined : "primary"} disabled={busy} aria-describedby={described} onClick={() => void start()}>
        {busy ? words.actions.busy : again ? words.issues.startAgain : words.issues.start}
      </button>
      {problem !== null && (
        <p role="alert" className="bad">
          {problem}
        </p>
      )}
    </>
  );
}
