import { useLanguage, useWords } from "../i18n";
import type { Dictionary } from "../i18n/en";
import { figure } from "../i18n/format";
import { unitIn } from "../i18n/units";
import { isDocument, named } from "./read";

/** A document as a table, whatever is in it. Groups become headings, lists of equal things become tables of their own. */
export function Values({ document }: { document: unknown }) {
  const words = useWords();
  if (!isDocument(document)) return null;
  const entries = Object.entries(document).filter(([key]) => key !== "calculation" && key !== "warnings");
  const plain = entries.filter(([, value]) => typeof value !== "object" || value === null);
  const groups = entries.filter(([, value]) => typeof value === "object" && value !== null);
  return (
    <div className="values">
      {plain.length > 0 && (
        <dl>
          {plain.map(([key, value]) => (
            <div key={key}>
              <dt>{called(key, words)}</dt>
              <dd>
                <Value entry={key} value={value} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {groups.map(([key, value]) => (
        <section key={key}>
          <h3>{called(key, words)}</h3>
          {Array.isArray(value) ? <Table rows={value.filter(isDocument)} /> : <Values document={value} />}
        </section>
      ))}
    </div>
  );
}

function Table({ rows }: { rows: readonly Readonly<Record<string, unknown>>[] }) {
  const words = useWords();
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))].sort((one, other) => Number(other === "name" || other === "point") - Number(one === "name" || one === "point"));
  return (
    <div className="scroll" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {keys.map((key) => (
              <th key={key} scope="col">
                {called(key, words)} <small>{unitIn(named(key).unit, words)}</small>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {keys.map((key) => (
                <td key={key}>
                  <Value entry="" value={row[key]} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Value({ entry, value }: { entry: string; value: unknown }) {
  const words = useWords();
  const lang = useLanguage();
  if (typeof value !== "number") {
    const known = String(value ?? "–");
    return known in words.results.flows ? words.results.flows[known as keyof typeof words.results.flows] : known;
  }
  const { unit } = named(entry);
  return (
    <>
      {figure(value, lang, 6)} {unit !== "" && <small>{unitIn(unit, words)}</small>}
    </>
  );
}

/** A key in words; one that this build does not know is shown as it is, without its underscores. */
export function called(key: string, { results }: Dictionary): string {
  const { name } = named(key);
  return name in results.keys ? results.keys[name as keyof typeof results.keys] : name.replaceAll("_", " ");
}
