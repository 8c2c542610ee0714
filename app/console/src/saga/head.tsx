import { Link } from "wouter";

import { useLanguage, useWords } from "../i18n";
import { moment, shortSpan } from "../i18n/format";
import { ProgressBar } from "../ui/progress";
import { Status } from "../ui/status";
import { Since } from "../ui/time";
import { Actions } from "./actions";
import { Fact } from "./details";
import type { InGitLab, LiveSaga, Saga } from "./live-saga";

export function SagaHead({ saga, gitlab, live }: { saga: Saga; gitlab: InGitLab | null; live: LiveSaga }) {
  const words = useWords();
  const lang = useLanguage();
  const issue = gitlab?.issue ?? null;
  const mergeRequest = gitlab?.mergeRequest ?? null;
  const { facts, mergeRequestState: states } = words.saga;
  return (
    <header className="saga-head-area">
      <div className="saga-title">
        <p className="crumbs">
          <Link href="/sagas">{words.nav.sagas}</Link> <span aria-hidden="true">/</span> {saga.definition.title}
        </p>
        <h1>
          {saga.issueIid !== null && <span className="iid">#{saga.issueIid}</span>} {issue?.title ?? saga.definition.title}
        </h1>
      </div>
      <Actions saga={saga} mergeRequest={mergeRequest} live={live} />
      <dl className="facts">
        <div className="fact-status">
          <dt className="sr">{words.sagas.columns.status}</dt>
          <dd>
            <Status status={saga.status} />
            <ProgressBar progress={saga.progress} status={saga.status} />
          </dd>
        </div>
        {saga.waitingFor !== null && saga.waitingSince !== null && (
          <Fact name={facts.waiting}>
            {saga.waitingFor} · <Since at={saga.waitingSince} />
          </Fact>
        )}
        {mergeRequest !== null && (
          <Fact name={facts.mergeRequest}>
            <a href={mergeRequest.webUrl} target="_blank" rel="noreferrer">
              !{mergeRequest.iid}
            </a>{" "}
            {mergeRequest.state in states ? states[mergeRequest.state as keyof typeof states] : mergeRequest.state}
          </Fact>
        )}
        {issue !== null && (
          <Fact name={facts.issue}>
            <a href={issue.webUrl} target="_blank" rel="noreferrer">
              #{issue.iid}
            </a>
          </Fact>
        )}
        <Fact name={facts.project}>{saga.projectPath}</Fact>
        <Fact name={facts.branch}>
          <span className="mono">{saga.branch}</span>
        </Fact>
        <Fact name={facts.startedBy}>{saga.startedBy.name ?? saga.startedBy.username}</Fact>
        <Fact name={facts.started}>{moment(saga.createdAt, lang)}</Fact>
        {saga.finishedAt !== null && <Fact name={facts.took}>{shortSpan(Date.parse(saga.finishedAt) - Date.parse(saga.createdAt), lang)}</Fact>}
      </dl>
    </header>
  );
}
