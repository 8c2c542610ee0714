import {
  type ArrayFieldItemTemplateProps,
  type ArrayFieldTemplateProps,
  type BaseInputTemplateProps,
  type FieldTemplateProps,
  type ObjectFieldTemplateProps,
  getInputProps,
} from "@rjsf/utils";

import { useLanguage, useWords } from "../i18n";
import { figure } from "../i18n/format";
import { unitIn } from "../i18n/units";
import { type Marked, unitOf } from "./schema";

/** A value with its name, its unit, what it may be, and what is wrong with it. Groups draw themselves. */
export function FieldTemplate({ id, label, required, displayLabel, rawErrors = [], rawDescription, schema, children, hidden }: FieldTemplateProps) {
  const words = useWords();
  if (hidden) return <div hidden>{children}</div>;
  if (schema.type === "object" || schema.type === "array") return <div className="field-group">{children}</div>;
  const described = rawDescription !== undefined && rawDescription !== "";
  return (
    <div className="field" data-wrong={rawErrors.length > 0 || undefined}>
      {displayLabel && (
        <label htmlFor={id}>
          {label}
          {!required && <small> {words.form.optional}</small>}
        </label>
      )}
      <div className="entry">{children}</div>
      <div id={`${id}-help`} className="help">
        {rawErrors.length > 0 ? (
          <p className="bad">{[...new Set(rawErrors)].join(" ")}</p>
        ) : (
          <p>
            <Range schema={schema} />
            {described && ` ${rawDescription}`}
          </p>
        )}
      </div>
    </div>
  );
}

function Range({ schema }: { schema: Marked }) {
  const words = useWords();
  const lang = useLanguage();
  const { minimum, maximum } = schema;
  if (minimum === undefined || maximum === undefined) return null;
  return <span className="range">{words.form.range(figure(minimum, lang, 6), figure(maximum, lang, 6))}.</span>;
}

export function BaseInputTemplate({ id, htmlName, value, type, schema, options, required, disabled, readonly, rawErrors, onChange, onBlur, onFocus, placeholder }: BaseInputTemplateProps) {
  const words = useWords();
  const unit = unitOf(schema);
  const input = getInputProps(schema, type, options);
  const wrong = (rawErrors?.length ?? 0) > 0;
  return (
    <>
      <input
        id={id}
        name={htmlName ?? id}
        {...input}
        // The limits are told by our own words, and the browser's arrows would step from the smallest value.
        min={undefined}
        max={undefined}
        step={input.type === "number" ? "any" : undefined}
        inputMode={input.type === "number" ? "decimal" : undefined}
        value={value ?? ""}
        placeholder={placeholder}
        required={required}
        disabled={disabled}
        readOnly={readonly}
        aria-invalid={wrong || undefined}
        aria-describedby={`${id}-help${unit === "" ? "" : ` ${id}-unit`}`}
        onChange={(event) => onChange(event.target.value === "" ? options.emptyValue : event.target.value)}
        onBlur={(event) => onBlur(id, event.target.value)}
        onFocus={(event) => onFocus(id, event.target.value)}
      />
      {unit !== "" && (
        <span className="unit" id={`${id}-unit`}>
          {unitIn(unit, words)}
        </span>
      )}
    </>
  );
}

export function ObjectFieldTemplate({ title, description, properties, fieldPathId }: ObjectFieldTemplateProps) {
  const outer = fieldPathId.path.length === 0;
  const grid = <div className="fields">{properties.map(({ content }) => content)}</div>;
  if (outer) return grid;
  return (
    <fieldset>
      <legend>{title}</legend>
      {description !== undefined && description !== "" && <p className="quiet">{description}</p>}
      {grid}
    </fieldset>
  );
}

export function ArrayFieldTemplate({ title, schema, items, canAdd, disabled, onAddClick, rawErrors = [] }: ArrayFieldTemplateProps) {
  const words = useWords();
  return (
    <fieldset>
      <legend>{title}</legend>
      {schema.description !== undefined && <p className="quiet">{schema.description}</p>}
      {rawErrors.length > 0 && <p className="bad">{rawErrors.join(" ")}</p>}
      <ol className="items">{items}</ol>
      {canAdd && (
        <button type="button" disabled={disabled} onClick={onAddClick}>
          + {words.form.add}
        </button>
      )}
    </fieldset>
  );
}

export function ArrayFieldItemTemplate({ children, index, totalItems, buttonsProps, disabled, readonly }: ArrayFieldItemTemplateProps) {
  const words = useWords();
  const { onMoveUpItem, onMoveDownItem, onRemoveItem, hasRemove, hasMoveUp, hasMoveDown } = buttonsProps;
  const held = disabled === true || readonly === true;
  const name = `${index + 1}`;
  return (
    <li>
      <div className="item">{children}</div>
      <div className="item-buttons">
        {(hasMoveUp || hasMoveDown) && (
          <>
            <button type="button" aria-label={`${words.form.up}: ${name}`} title={words.form.up} disabled={held || index === 0} onClick={onMoveUpItem}>
              ↑
            </button>
            <button type="button" aria-label={`${words.form.down}: ${name}`} title={words.form.down} disabled={held || index === totalItems - 1} onClick={onMoveDownItem}>
              ↓
            </button>
          </>
        )}
        {hasRemove && (
          <button type="button" aria-label={`${words.form.remove}: ${name}`} title={words.form.remove} disabled={held} onClick={onRemoveItem}>
            ×
          </button>
        )}
      </div>
    </li>
  );
}
