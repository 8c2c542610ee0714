import { useCatalogue } from "../api/catalogue";
import { useLanguage, useWords } from "../i18n";
import { moment } from "../i18n/format";
import { stepWords } from "../i18n/steps";
import type { Saga, Step } from "./live-saga";
import { CommitLink, StepTime } from "./step-card";

/** Everything about one step. */
export function StepDetails({ saga, step }: { saga: Saga; step: Step }) {
  const words = useWords();
  const lang = useLanguage();
  const { calculation, doing } = stepWords(step.name, words, useCatalogue());
  const task = step.kind === "RESULT" || step.name.startsWith("DISPATCH_") ? saga.tasks.findLast((sent) => sent.calculation.name === step.calculation) : undefined;
  return (
    <section className="details" aria-live="polite" aria-label={words.saga.details}>
      <h2>
        {calculation === null ? doing : `${calculation}: ${doing}`} <small className="mono">{step.name}</small>
      </h2>
      <dl>
        <Fact name={words.sagas.columns.status}>{words.stepStatus[step.status]}</Fact>
        {step.startedAt !== null && <Fact name={words.saga.began}>{moment(step.startedAt, lang)}</Fact>}
        {step.finishedAt !== null && <Fact name={words.saga.ended}>{moment(step.finishedAt, lang)}</Fact>}
        {step.startedAt !== null && (step.status !== "FAILED" || step.attempts > 0 || step.visit > 1) && (
          <Fact name={words.saga.lasted}>
            {step.status !== "FAILED" && <StepTime step={step} />}
            {step.visit > 1 && ` · ${words.saga.visits(step.visit)}`}
            {step.attempts > 0 && ` · ${words.saga.tries(step.attempts)}`}
          </Fact>
        )}
        {step.commit !== null && (
          <Fact name={words.saga.commit}>
            <CommitLink commit={step.commit} /> {step.commit.message?.split("\n")[0]}
          </Fact>
        )}
        {task !== undefined && (
          <Fact name={words.saga.task}>
            {words.saga.taskStatus[task.status]} · <span className="mono">{task.correlationId}</span>
            {task.error !== null && <span className="bad"> {task.error}</span>}
          </Fact>
        )}
      </dl>
      {step.error !== null && <p className="bad">{step.error.message}</p>}
    </section>
  );
}

export function Fact({ name, children }: { name: string; children: React.ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
