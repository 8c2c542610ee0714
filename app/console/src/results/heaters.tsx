import { scaleBand, scaleLinear } from "d3-scale";

import { useLanguage, useWords } from "../i18n";
import { figure } from "../i18n/format";
import { quantity, unitIn } from "../i18n/units";
import { list, number, text } from "./read";

const WIDTH = 460;
const HEIGHT = 260;
const LEFT = 40;
const RIGHT = 12;
const TOP = 22;
const BOTTOM = 40;

/** How each heater warms the water, on its way from the condenser to the boiler. */
export function HeatersChart({ result }: { result: unknown }) {
  const words = useWords();
  const lang = useLanguage();
  const heaters = list(result, "heaters").flatMap((entry) => {
    const [name, from, to] = [text(entry, "name"), number(entry, "water_inlet_temperature_c"), number(entry, "water_outlet_temperature_c")];
    return name === null || from === null || to === null ? [] : [{ name, from, to, saturation: number(entry, "saturation_temperature_c") }];
  });
  if (heaters.length === 0) return null;
  const x = scaleBand(heaters.map(({ name }) => name), [LEFT, WIDTH - RIGHT]).padding(0.25);
  const y = scaleLinear([0, Math.max(...heaters.flatMap(({ to, saturation }) => [to, saturation ?? to])) * 1.05], [HEIGHT - BOTTOM, TOP]).nice();
  const said = heaters.map(({ name, from, to }) => `${name} ${quantity(from, "°C", words, lang, 3)} → ${quantity(to, "°C", words, lang, 3)}`).join("; ");
  return (
    <figure className="chart">
      <figcaption>{words.results.heaters}</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={said}>
        {y.ticks(5).map((tick) => (
          <g key={tick}>
            <line className="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick)} y2={y(tick)} />
            <text x={LEFT - 6} y={y(tick) + 4} textAnchor="end">
              {figure(tick, lang)}
            </text>
          </g>
        ))}
        <text x={LEFT - 6} y={11} textAnchor="end">
          {unitIn("°C", words)}
        </text>
        {heaters.map(({ name, from, to, saturation }) => {
          const left = x(name) ?? 0;
          return (
            <g key={name}>
              <rect className="heater" x={left} width={x.bandwidth()} y={y(to)} height={Math.max(2, y(from) - y(to))}>
                <title>{`${name}: ${quantity(from, "°C", words, lang)} → ${quantity(to, "°C", words, lang)}`}</title>
              </rect>
              {saturation !== null && <line className="saturation" x1={left - 4} x2={left + x.bandwidth() + 4} y1={y(saturation)} y2={y(saturation)} />}
              <text x={left + x.bandwidth() / 2} y={HEIGHT - BOTTOM + 15} textAnchor="middle">
                {name}
              </text>
            </g>
          );
        })}
        <line className="saturation" x1={LEFT + 8} x2={LEFT + 26} y1={HEIGHT - 10} y2={HEIGHT - 10} />
        <text x={LEFT + 32} y={HEIGHT - 6}>
          {words.results.saturation}
        </text>
      </svg>
    </figure>
  );
}
