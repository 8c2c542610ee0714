import { memo } from "react";
import { Link } from "wouter";

import { useWords } from "../i18n";
import { titleOf, useCatalogue } from "../api/catalogue";
import { stepWords } from "../i18n/steps";
import { ProgressBar } from "../ui/progress";
import { Status } from "../ui/status";
import { Since } from "../ui/time";
import type { Row } from "./live-sagas";

interface Props {
  readonly row: Row;
  readonly index: number;
  readonly top: number;
  readonly height: number;
}

export const SagaRow = memo(function SagaRow({ row, index, top, height }: Props) {
  const words = useWords();
  const catalogue = useCatalogue();
  const step = stepWords(row.state, words, catalogue);
  const kind = titleOf(catalogue.definitions, row.definition.name);
  return (
    <div className="saga-row" role="row" aria-rowindex={index + 2} data-index={index} data-left={row.left || undefined} style={{ top, height }}>
      <span role="cell" className="c-status">
        <Status status={row.status} />
      </span>
      <span role="cell" className="c-saga">
        <Link href={`/sagas/${encodeURIComponent(row.id)}`}>
          {row.issueIid !== null && <span className="iid">#{row.issueIid}</span>} {row.title ?? kind}
        </Link>
        <small>{row.title === null ? (row.issueIid === null ? words.sagas.noIssue : "") : kind}</small>
      </span>
      <span role="cell" className="c-step">
        <span>{step.calculation ?? step.doing}</span>
        {step.calculation !== null && <small>{step.doing}</small>}
      </span>
      <span role="cell" className="c-progress">
        <ProgressBar progress={row.progress} status={row.status} />
      </span>
      <span role="cell" className="c-branch">
        <span>{row.projectPath}</span>
        <small className="mono">{row.branch}</small>
      </span>
      <span role="cell" className="c-starter">{row.startedBy.name ?? row.startedBy.username}</span>
      <span role="cell" className="c-age">
        <Since at={row.createdAt} />
      </span>
      <span role="cell" className="c-waiting">
        <Waiting row={row} />
      </span>
    </div>
  );
});

function Waiting({ row }: { row: Row }) {
  const words = useWords();
  if (row.error !== null) {
    return (
      <>
        <span className="mono bad">{row.error.code}</span>
        {row.error.retryable && <small>{words.sagas.retries}</small>}
      </>
    );
  }
  if (row.waitingFor === null) return null;
  return (
    <>
      <span>{row.waitingFor}</span>
      {row.waitingSince !== null && (
        <small>
          <Since at={row.waitingSince} />
        </small>
      )}
    </>
  );
}
