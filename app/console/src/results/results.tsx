import "./results.css";

import { titleOf, useCatalogue } from "../api/catalogue";
import { useLanguage, useWords } from "../i18n";
import type { Dictionary } from "../i18n/en";
import { figure } from "../i18n/format";
import { unitIn } from "../i18n/units";
import type { Saga, Task } from "../saga/live-saga";
import { HeatersChart } from "./heaters";
import { number, warnings } from "./read";
import { SankeyChart } from "./sankey";
import { TqChart } from "./tq";
import { Values } from "./values";

interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly digits: number;
}

/** What came out so far, as a person wants it: figures, pictures, and all the rest for whoever asks. */
export default function Results({ saga }: { saga: Saga }) {
  const words = useWords();
  const lang = useLanguage();
  const catalogue = useCatalogue();
  const accepted = acceptedOf(saga.tasks);
  if (accepted.size === 0) return null;
  const figures = figuresOf(accepted, words);
  return (
    <section className="results" aria-labelledby="results-title">
      <h2 id="results-title">{words.results.title}</h2>
      {figures.length > 0 && (
        <dl className="figures">
          {figures.map(({ name, value, unit, digits }) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>
                {figure(value, lang, digits)} <span>{unitIn(unit, words)}</span>
              </dd>
            </div>
          ))}
        </dl>
      )}
      {[...accepted.values()].flatMap((result) => warnings(result)).map((warning) => (
        <p key={warning} className="notice">
          {warning}
        </p>
      ))}
      <div className="charts">
        <SankeyChart result={accepted.get("balance")} />
        <TqChart result={accepted.get("condenser")} />
        <HeatersChart result={accepted.get("feedwater_heaters")} />
      </div>
      {[...accepted].map(([name, result]) => (
        <details key={name}>
          <summary>
            {titleOf(catalogue.calculations, name)}: {words.results.all}
          </summary>
          <Values document={result} />
        </details>
      ))}
    </section>
  );
}

/** The newest accepted result of each calculation. */
function acceptedOf(tasks: readonly Task[]): Map<string, unknown> {
  return new Map(tasks.filter(({ status, result }) => status === "SUCCEEDED" && result !== null).map(({ calculation, result }) => [calculation.name, result]));
}

function figuresOf(results: ReadonlyMap<string, unknown>, { results: words }: Dictionary): Figure[] {
  const balance = results.get("balance");
  const condenser = results.get("condenser");
  const efficiency = number(balance, "plant_efficiency");
  const known: readonly (readonly [string, number | null, string, number])[] = [
    [words.condenserPressure, number(condenser, "pressure_kpa"), "kPa", 3],
    [words.heatLoad, number(balance, "condenser", "heat_duty_mw") ?? number(condenser, "heat_duty_mw"), "MW", 4],
    [words.feedwater, number(results.get("feedwater_heaters"), "feedwater", "temperature_c"), "°C", 4],
    [words.power, number(balance, "power_mw"), "MW", 4],
    [words.netPower, number(balance, "net_power_mw"), "MW", 4],
    [words.heatRate, number(balance, "heat_rate_kj_per_kwh"), "kJ/kWh", 4],
    [words.efficiency, efficiency === null ? null : 100 * efficiency, "%", 3],
  ];
  return known.flatMap(([name, value, unit, digits]) => (value === null ? [] : [{ name, value, unit, digits }]));
}
