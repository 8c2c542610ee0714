import { type FormEvent, type ReactNode, useRef, useState } from "react";
import type { CombinedError } from "urql";

import { client } from "../api/client";
import { newKey } from "../api/idempotency";
import { insist } from "../api/insist";
import { useCatalogue } from "../api/catalogue";
import type { SagaAction } from "../gql/graphql";
import { useWords } from "../i18n";
import type { Dictionary } from "../i18n/en";
import { stepWords } from "../i18n/steps";
import { Dialog } from "../ui/dialog";
import { explained } from "../ui/problem";
import { Cancel, OpenMergeRequest, Pause, Resume, Retry } from "./documents";
import type { InGitLab, LiveSaga, Saga } from "./live-saga";
import { Undone } from "./undone";

/** ADVANCE is the form's. */
type Action = Exclude<SagaAction, "ADVANCE">;
const ORDER: readonly Action[] = ["CREATE_MERGE_REQUEST", "RETRY", "RESUME", "PAUSE", "CANCEL"];

interface Answer {
  readonly refused: readonly { readonly code: string; readonly message: string }[];
  readonly error: CombinedError | undefined;
}

interface Props {
  readonly saga: Saga;
  readonly mergeRequest: InGitLab["mergeRequest"];
  readonly live: LiveSaga;
}

export function Actions({ saga, mergeRequest, live }: Props) {
  const words = useWords();
  const [asked, ask] = useState<Action | null>(null);
  const open = mergeRequest?.state === "opened" ? mergeRequest : null;
  const offered = ORDER.filter((action) => saga.availableActions.includes(action) && (action !== "CREATE_MERGE_REQUEST" || open === null));
  if (offered.length === 0 && open === null) return null;
  const main = saga.status === "FAILED" ? "RETRY" : saga.status === "PAUSED" ? "RESUME" : saga.status === "COMPLETED" ? "CREATE_MERGE_REQUEST" : null;
  return (
    <div className="actions" role="group" aria-label={words.actions.label}>
      {open !== null && (
        <a className="button primary" href={open.webUrl} target="_blank" rel="noreferrer">
          {words.saga.toMergeRequest(open.iid)} ↗
        </a>
      )}
      {offered.map((action) => (
        <button key={action} className={action === main ? "primary" : action === "CANCEL" ? "danger" : undefined} onClick={() => ask(action)}>
          {words.actions[action]}
        </button>
      ))}
      {asked !== null && <Confirmation action={asked} saga={saga} live={live} close={() => ask(null)} />}
    </div>
  );
}

function Confirmation({ action, saga, live, close }: { action: Action; saga: Saga; live: LiveSaga; close: () => void }) {
  const words = useWords();
  // One key for one wish: trying again after a lost answer does nothing twice. What one saw when asked is what one decided on.
  const wish = useRef({ key: newKey(), version: saga.version });
  const [busy, setBusy] = useState(false);
  const [problem, tell] = useState<string | null>(null);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    const form = new FormData(event.currentTarget);
    const { refused, error } = await send(action, saga, wish.current, form, () => tell(words.actions.waiting));
    setBusy(false);
    tell(null);
    if (error !== undefined) tell(error.networkError === undefined ? explained(error, words) : words.actions.noAnswer);
    else if (refused.length > 0) {
      tell(refused.map(({ code, message }) => (code === "VERSION_CONFLICT" ? words.actions.conflict : message)).join(" "));
      wish.current = { key: newKey(), version: live.shown.get().saga?.version ?? saga.version };
    } else {
      live.follow();
      void live.read();
      close();
    }
  };
  const { title, body } = described(action, saga, words);
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={(event) => void submit(event)}>
        {body}
        {problem !== null && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <menu>
          <button type="button" onClick={close}>
            {words.actions.close}
          </button>
          <button className={action === "CANCEL" ? "danger" : "primary"} disabled={busy}>
            {busy ? words.actions.busy : words.actions[action]}
          </button>
        </menu>
      </form>
    </Dialog>
  );
}

function described(action: Action, saga: Saga, words: Dictionary): { title: string; body: ReactNode } {
  const { actions } = words;
  switch (action) {
    case "PAUSE":
      return { title: actions.pauseTitle, body: <p>{actions.pauseText}</p> };
    case "RESUME":
      return { title: actions.resumeTitle, body: <p>{actions.resumeText}</p> };
    case "RETRY":
      return { title: actions.retryTitle, body: <RetryChoice saga={saga} /> };
    case "CANCEL":
      return { title: actions.cancelTitle, body: <CancelChoice saga={saga} /> };
    case "CREATE_MERGE_REQUEST":
      return {
        title: actions.mergeTitle,
        body: (
          <>
            <p>{actions.mergeText(saga.branch)}</p>
            <label>
              {actions.mergeName}
              <input name="title" maxLength={255} />
            </label>
            <label>
              {actions.mergeDescription}
              <textarea name="description" />
            </label>
          </>
        ),
      };
  }
}

function RetryChoice({ saga }: { saga: Saga }) {
  const words = useWords();
  const catalogue = useCatalogue();
  const named = (step: string) => {
    const { calculation, doing } = stepWords(step, words, catalogue);
    return calculation === null ? doing : `${calculation}: ${doing}`;
  };
  return (
    <fieldset>
      <legend>{words.actions.retryText}</legend>
      {saga.retrySteps.map((step, index) => (
        <label className="choice" key={step}>
          <input type="radio" name="from" value={index === 0 ? "" : step} defaultChecked={index === 0} />
          {index === 0 ? words.actions.retryHere(named(step)) : words.actions.retryBack(named(step))}
        </label>
      ))}
    </fieldset>
  );
}

function CancelChoice({ saga }: { saga: Saga }) {
  const words = useWords();
  const [compensate, choose] = useState(true);
  return (
    <>
      <label className="choice">
        <input type="checkbox" name="compensate" checked={compensate} onChange={(event) => choose(event.target.checked)} />
        {words.actions.compensate}
      </label>
      {compensate && <Undone saga={saga} />}
      <label>
        {words.actions.reason}
        <input name="reason" maxLength={500} />
      </label>
    </>
  );
}

async function send(action: Action, saga: Saga, wish: { key: string; version: number }, form: FormData, waiting: () => void): Promise<Answer> {
  const own = { sagaId: saga.id, expectedVersion: wish.version, idempotencyKey: wish.key };
  const filled = (name: string) => {
    const value = form.get(name);
    return typeof value === "string" && value.trim() !== "" ? value.trim() : null;
  };
  switch (action) {
    case "PAUSE": {
      const { data, error } = await insist(() => client.mutation(Pause, { input: own }).toPromise(), waiting);
      return { refused: data?.pauseSaga.userErrors ?? [], error };
    }
    case "RESUME": {
      const { data, error } = await insist(() => client.mutation(Resume, { input: own }).toPromise(), waiting);
      return { refused: data?.resumeSaga.userErrors ?? [], error };
    }
    case "RETRY": {
      const { data, error } = await insist(() => client.mutation(Retry, { input: { ...own, fromStep: filled("from") } }).toPromise(), waiting);
      return { refused: data?.retrySaga.userErrors ?? [], error };
    }
    case "CANCEL": {
      const input = { ...own, compensate: form.get("compensate") !== null, reason: filled("reason") };
      const { data, error } = await insist(() => client.mutation(Cancel, { input }).toPromise(), waiting);
      return { refused: data?.cancelSaga.userErrors ?? [], error };
    }
    case "CREATE_MERGE_REQUEST": {
      const { projectPath, branch: sourceBranch, issueIid } = saga;
      const input = { projectPath, sourceBranch, issueIid, title: filled("title"), description: filled("description"), idempotencyKey: wish.key };
      const { data, error } = await insist(() => client.mutation(OpenMergeRequest, { input }).toPromise(), waiting);
      return { refused: data?.createMergeRequest.userErrors ?? [], error };
    }
  }
}
