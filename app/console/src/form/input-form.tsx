import "./form.css";

// Not from the package's index, which also loads a test helper that needs ajv.
import Form from "@rjsf/core/lib/components/Form.js";
import { type ErrorSchema, type RJSFSchema, type UiSchema } from "@rjsf/utils";
import { useMemo, useRef, useState } from "react";

import { client } from "../api/client";
import { newKey } from "../api/idempotency";
import { insist } from "../api/insist";
import { useLanguage, useWords } from "../i18n";
import { Advance } from "../saga/documents";
import type { Calculation, Event, LiveSaga, Saga } from "../saga/live-saga";
import { explained } from "../ui/problem";
import { GeometryWidget, Manifest } from "./geometry";
import { inLanguage } from "./schema";
import { ArrayFieldItemTemplate, ArrayFieldTemplate, BaseInputTemplate, FieldTemplate, ObjectFieldTemplate } from "./templates";
import { refusalsAtFields, validatorIn } from "./validator";

const TEMPLATES = { ArrayFieldItemTemplate, ArrayFieldTemplate, BaseInputTemplate, FieldTemplate, ObjectFieldTemplate };
const WIDGETS = { geometry: GeometryWidget };

type Pending = NonNullable<Saga["pendingInput"]>;

interface Props {
  readonly saga: Saga;
  readonly calculations: readonly Calculation[];
  readonly events: readonly Event[];
  readonly live: LiveSaga;
}

/** What one is filling in: the form as it was when one began, however the saga moves meanwhile. */
interface Opened {
  readonly pending: Pending;
  readonly values: unknown;
  readonly touched: boolean;
}

/** The form of the step that waits. It outlives the step where somebody else moves the saga while it is being filled in. */
export default function InputForm({ saga, calculations, events, live }: Props) {
  const words = useWords();
  const [opened, open] = useState<Opened | null>(null);
  const [sent, send] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const pending = saga.pendingInput;
  const visit = pending === null ? null : `${pending.step}/${saga.steps.find(({ name }) => name === pending.step)?.visit ?? 0}`;
  const shown = opened ?? (pending === null || visit === sent ? null : { pending, values: pending.draft, touched: false });
  if (shown === null) return null;
  const calculation = calculations.find(({ inputFile }) => inputFile === shown.pending.file);
  if (calculation === undefined) return null;
  // While an answer is awaited, it was most likely this very form that moved the saga.
  const moved = !busy && (pending === null || pending.step !== shown.pending.step);
  if (moved && !shown.touched) {
    if (opened !== null) open(null);
    return null;
  }
  const changed = !busy && pending !== null && !moved && !same(pending.draft, shown.pending.draft);
  if (changed && !shown.touched && opened !== null) open(null);
  return (
    <section className="input-form" aria-labelledby="form-title">
      <h2 id="form-title">{words.form.title(calculation.title)}</h2>
      <p className="quiet">{words.form.help(shown.pending.file)}</p>
      {moved && (
        <div className="notice" role="alert">
          <p>{words.form.movedOn(whoMoved(events, shown.pending.step) ?? words.form.somebody)}</p>
          <button onClick={() => open(null)}>{words.form.dismiss}</button>
        </div>
      )}
      {changed && shown.touched && (
        <div className="notice" role="alert">
          <p>{words.form.draftChanged}</p>
          <button onClick={() => open(null)}>{words.form.takeTheirs}</button>
          <button onClick={() => open({ ...shown, pending })}>{words.form.keepMine}</button>
        </div>
      )}
      <Fields
        saga={saga}
        schema={calculation.inputSchema}
        opened={shown}
        busy={busy}
        setBusy={setBusy}
        held={busy || moved || (changed && shown.touched) || !saga.availableActions.includes("ADVANCE")}
        change={(values) => open({ pending: shown.pending, values, touched: !same(values, shown.pending.draft) })}
        restore={() => open(null)}
        accepted={() => {
          send(visit);
          open(null);
          live.follow();
          void live.read();
        }}
        refresh={() => void live.read()}
      />
    </section>
  );
}

interface FieldsProps {
  readonly saga: Saga;
  readonly schema: unknown;
  readonly opened: Opened;
  readonly held: boolean;
  readonly busy: boolean;
  readonly setBusy: (busy: boolean) => void;
  readonly change: (values: unknown) => void;
  readonly restore: () => void;
  readonly accepted: () => void;
  readonly refresh: () => void;
}

function Fields({ saga, schema, opened, held, busy, setBusy, change, restore, accepted, refresh }: FieldsProps) {
  const words = useWords();
  const lang = useLanguage();
  const shown = useMemo(() => inLanguage(schema, lang), [schema, lang]);
  const validator = useMemo(() => validatorIn(words, lang), [words, lang]);
  const ui = useMemo(() => uiSchemaOf(shown), [shown]);
  const manifest = useMemo(() => ({ projectPath: saga.projectPath, branch: saga.branch }), [saga.projectPath, saga.branch]);
  const [problem, tell] = useState<string | null>(null);
  const [refused, refuse] = useState<ErrorSchema>({});
  const [wrong, count] = useState(0);
  // The same values keep their key over all tries, so that a lost answer costs nothing.
  const wish = useRef({ values: "", key: "" });
  const submit = async (values: unknown) => {
    const text = JSON.stringify(values);
    if (wish.current.values !== text) wish.current = { values: text, key: newKey() };
    setBusy(true);
    const { step, expectedVersion } = opened.pending;
    const input = { sagaId: saga.id, step, values, expectedVersion, idempotencyKey: wish.current.key };
    const { data, error } = await insist(
      () => client.mutation(Advance, { input }).toPromise(),
      () => tell(words.actions.waiting),
    );
    setBusy(false);
    tell(null);
    if (error !== undefined) tell(error.networkError === undefined ? explained(error, words) : words.actions.noAnswer);
    const refusals = data?.advanceSaga.userErrors ?? [];
    if (refusals.length > 0) {
      refuse(refusalsAtFields(refusals));
      const whole = refusals.filter(({ field }) => field?.[0] !== "values" || field.length === 1);
      tell(whole.length === 0 ? null : whole.map(({ code, message }) => (code === "VERSION_CONFLICT" ? words.actions.conflict : message)).join(" "));
      refresh();
    } else if (error === undefined) accepted();
  };
  return (
    <Manifest value={manifest}>
      <Form
        schema={shown}
        uiSchema={ui}
        validator={validator}
        templates={TEMPLATES}
        widgets={WIDGETS}
        formData={opened.values}
        extraErrors={refused}
        disabled={held}
        liveValidate="onChange"
        noHtml5Validate
        showErrorList={false}
        focusOnFirstError
        onChange={({ formData, errors }) => {
          refuse({});
          count(errors.length);
          change(formData);
        }}
        onError={(errors) => count(errors.length)}
        onSubmit={({ formData }) => void submit(formData)}
      >
        <div className="form-end">
          <button className="primary" disabled={held || busy}>
            {busy ? words.actions.busy : words.form.submit}
          </button>
          {opened.touched && (
            <button type="button" onClick={restore} disabled={busy}>
              {words.form.restore}
            </button>
          )}
          <p role="status" className="bad">
            {wrong > 0 ? words.form.problems(wrong) : ""}
          </p>
        </div>
        {problem !== null && (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
      </Form>
    </Manifest>
  );
}

/** Which widget draws what: the catalogue marks its geometries, all else is rjsf's own choice. */
function uiSchemaOf(schema: RJSFSchema): UiSchema {
  const own: UiSchema = {};
  for (const [name, node] of Object.entries(schema.properties ?? {})) {
    if (typeof node !== "object") continue;
    own[name] = "x-geometry-kind" in node ? { "ui:widget": "geometry" } : uiSchemaOf(node as RJSFSchema);
  }
  return own;
}

function whoMoved(events: readonly Event[], step: string): string | null {
  const moving = events.findLast(({ fromState, toState, actor }) => fromState === step && toState !== step && actor !== "engine");
  return moving?.actor ?? null;
}

function same(one: unknown, other: unknown): boolean {
  return stable(one) === stable(other);
}

/** JSON with its keys in order: the database does not keep the order in which they came. */
function stable(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  );
}
