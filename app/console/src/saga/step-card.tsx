import "./step.css";

import { createContext, useContext } from "react";

import { useCatalogue } from "../api/catalogue";
import { useLanguage, useWords } from "../i18n";
import { shortSpan, span } from "../i18n/format";
import { stepWords } from "../i18n/steps";
import { StepIcon } from "../ui/step-status";
import { useNow } from "../ui/time";
import type { Step } from "./live-saga";

/** Whether the saga was cancelled, so that nothing is to come any more. */
export const Over = createContext(false);

interface Props {
  readonly step: Step;
  readonly selected: boolean;
  readonly select: (name: string) => void;
}

/** A step in the graph, or in the list that narrow screens get in its place. */
export function StepCard({ step, selected, select }: Props) {
  const words = useWords();
  const { doing } = stepWords(step.name, words, useCatalogue());
  return (
    <div className="step" data-step={step.status} data-kind={step.kind} data-selected={selected || undefined}>
      <StepIcon status={step.status} kind={step.kind} />
      <button aria-pressed={selected} onClick={() => select(step.name)} title={step.name}>
        {doing}
      </button>
      <small>
        {step.status !== "PENDING" && step.status !== "FAILED" && step.status !== "SKIPPED" && <span className="sr">{words.stepStatus[step.status]} </span>}
        <StepTime step={step} />
        {step.attempts > 0 && <b className="tries">{words.saga.tries(step.attempts)}</b>}
      </small>
      {step.commit !== null && <CommitLink commit={step.commit} />}
    </div>
  );
}

export function CommitLink({ commit }: { commit: { readonly sha: string; readonly webUrl: string | null } }) {
  const sha = commit.sha.slice(0, 7);
  return commit.webUrl === null ? (
    <span className="commit mono">{sha}</span>
  ) : (
    <a className="commit mono" href={commit.webUrl} target="_blank" rel="noreferrer">
      {sha}
    </a>
  );
}

/** How long a step took, or has taken until now. */
export function StepTime({ step }: { step: Step }) {
  const words = useWords();
  const lang = useLanguage();
  const now = useNow();
  const over = useContext(Over);
  if (step.status === "PENDING") return over ? words.stepStatus.never : words.stepStatus.PENDING;
  // When a step failed is in the journal; a clock that runs on would say that it is still at it.
  if (step.status === "SKIPPED" || step.status === "FAILED" || step.startedAt === null) return words.stepStatus[step.status];
  const began = Date.parse(step.startedAt);
  if (step.finishedAt !== null) return shortSpan(Date.parse(step.finishedAt) - began, lang);
  return span(Math.max(0, now - began), lang);
}
