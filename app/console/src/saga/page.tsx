import "./page.css";

import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { Link } from "wouter";

import { titleOf, useCatalogue } from "../api/catalogue";
import { useStore } from "../api/store";
import { useWords } from "../i18n";
import { useMedia } from "../ui/media";
import { Problem } from "../ui/problem";
import { useTitle } from "../ui/title";
import { StepDetails } from "./details";
import { SagaHead } from "./head";
import { SagaJournal } from "./journal";
import { LiveSaga, type Saga, type Shown } from "./live-saga";
import { Over, StepCard } from "./step-card";
import { Trouble } from "./trouble";

const SagaGraph = lazy(() => import("./graph"));
const Results = lazy(() => import("../results/results"));
const InputForm = lazy(() => import("../form/input-form"));

/** One saga: where it is, what it needs, what came out of it, and everything that happened. */
export default function SagaPage({ id }: { id: string }) {
  const words = useWords();
  const live = useMemo(() => new LiveSaga(id), [id]);
  useEffect(() => {
    live.open();
    return () => live.close();
  }, [live]);
  const shown = useStore(live.shown);
  const { saga, gitlab } = shown;
  const issue = gitlab?.issue?.title;
  useTitle(issue ?? (saga === null ? words.sagas.title : saga.definition.title));
  if (saga !== null && shown.state !== "missing") return <Whole saga={saga} shown={shown} live={live} />;
  return (
    <main id="content" className="page" tabIndex={-1} aria-busy={shown.state === "loading"}>
      {shown.state === "loading" && <p className="quiet">{words.saga.loading}</p>}
      {shown.state === "missing" && (
        <>
          <h1>{words.saga.missing}</h1>
          <p>
            <Link href="/sagas">{words.errors.home}</Link>
          </p>
        </>
      )}
      {shown.state === "failed" && shown.error !== null && <Problem error={shown.error} again={() => void live.read()} />}
    </main>
  );
}

function Whole({ saga, shown, live }: { saga: Saga; shown: Shown; live: LiveSaga }) {
  const narrow = useMedia("(max-width: 52rem)");
  const [chosen, choose] = useState<string | null>(null);
  const select = useCallback((name: string) => choose((before) => (before === name ? null : name)), []);
  const step = saga.steps.find(({ name }) => name === chosen);
  const form = (
    <Suspense fallback={null}>
      <InputForm saga={saga} calculations={shown.calculations} events={shown.events} live={live} />
    </Suspense>
  );
  return (
    <main id="content" className="saga" tabIndex={-1}>
      <SagaHead saga={saga} gitlab={shown.gitlab} live={live} />
      <div className="saga-body">
        <div className="saga-main">
          {saga.error !== null && <Trouble saga={saga} error={saga.error} />}
          {narrow && form}
          <Over value={saga.status === "CANCELLED"}>
            {narrow ? (
              <Chain saga={saga} selected={chosen} select={select} />
            ) : (
              <Suspense fallback={<div className="graph" />}>
                <SagaGraph saga={saga} selected={chosen} select={select} />
              </Suspense>
            )}
          </Over>
          {step !== undefined && <StepDetails saga={saga} step={step} />}
          {!narrow && form}
          <Suspense fallback={null}>
            <Results saga={saga} />
          </Suspense>
        </div>
        <SagaJournal saga={saga} events={shown.events} />
      </div>
    </main>
  );
}

/** The chain for narrow screens: the same steps, one below the other. */
function Chain({ saga, selected, select }: { saga: Saga; selected: string | null; select: (name: string) => void }) {
  const words = useWords();
  const catalogue = useCatalogue();
  return (
    <ol className="chain" aria-label={words.saga.chain}>
      {saga.steps.map((step, index) => (
        <li key={step.name}>
          {step.calculation !== null && step.calculation !== saga.steps[index - 1]?.calculation && <p className="lane">{titleOf(catalogue.calculations, step.calculation)}</p>}
          <StepCard step={step} selected={step.name === selected} select={select} />
        </li>
      ))}
    </ol>
  );
}
