import { titleOf, useCatalogue } from "../api/catalogue";
import { useWords } from "../i18n";
import type { Saga } from "./live-saga";
import { CommitLink } from "./step-card";

/** What cancelling would take back, before anybody has to decide. */
export function Undone({ saga }: { saga: Saga }) {
  const words = useWords();
  const catalogue = useCatalogue();
  const commits = saga.steps.filter(({ commit, status }) => commit !== null && status !== "COMPENSATED").reverse();
  const tasks = saga.tasks.filter(({ status }) => status === "QUEUED" || status === "PUBLISHED");
  const branch = saga.steps.find(({ name }) => name === "PREPARE_BRANCH");
  const ownBranch = branch?.status === "DONE";
  if (commits.length === 0 && tasks.length === 0 && !ownBranch) return <p className="quiet">{words.actions.nothingUndone}</p>;
  return (
    <div className="undone">
      <p>{words.actions.undone}</p>
      <ul>
        {tasks.map(({ id, calculation }) => (
          <li key={id}>{words.actions.undoTask(titleOf(catalogue.calculations, calculation.name))}</li>
        ))}
        {commits.map(({ name, commit }) => (
          <li key={name}>
            {commit !== null && <CommitLink commit={commit} />} {commit?.message?.split("\n")[0]}
          </li>
        ))}
        {ownBranch && <li>{words.actions.undoBranch(saga.branch)}</li>}
      </ul>
      {saga.tasks.some(({ status }) => status === "SUCCEEDED") && <p className="quiet">{words.actions.undoKept}</p>}
    </div>
  );
}
