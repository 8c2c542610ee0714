import "./progress.css";

import type { SagaStatus } from "../gql/graphql";
import { useWords } from "../i18n";

interface Progress {
  readonly completedSteps: number;
  readonly totalSteps: number;
  readonly fraction: number;
}

export function ProgressBar({ progress, status }: { progress: Progress; status: SagaStatus }) {
  const words = useWords();
  const { completedSteps, totalSteps, fraction } = progress;
  return (
    <span className="progress" data-status={status}>
      <progress aria-label={words.sagas.progress} value={fraction} max={1} />
      <span>
        {completedSteps}/{totalSteps}
      </span>
    </span>
  );
}
