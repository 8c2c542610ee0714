import { scaleLinear } from "d3-scale";
import { line } from "d3-shape";

import { useLanguage, useWords } from "../i18n";
import { figure } from "../i18n/format";
import { quantity, unitIn } from "../i18n/units";
import { list, number } from "./read";

const WIDTH = 460;
const HEIGHT = 260;
const LEFT = 40;
const RIGHT = 20;
const TOP = 22;
const BOTTOM = 40;

interface Point {
  readonly heat: number;
  readonly steam: number;
  readonly water: number;
}

/** The condenser's t–Q diagram: how warm steam and water are along the heat that passes between them. */
export function TqChart({ result }: { result: unknown }) {
  const words = useWords();
  const lang = useLanguage();
  const points = pointsOf(result);
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined || points.length < 2) return null;
  const temperatures = points.flatMap(({ steam, water }) => [steam, water]);
  const x = scaleLinear([0, last.heat], [LEFT, WIDTH - RIGHT]);
  const y = scaleLinear([Math.min(...temperatures) - 2, Math.max(...temperatures) + 3], [HEIGHT - BOTTOM, TOP]).nice();
  const path = (of: "steam" | "water") => line<Point>((point) => x(point.heat), (point) => y(point[of]))([...points]) ?? "";
  const difference = last.steam - last.water;
  const degrees = (value: number) => quantity(value, "°C", words, lang, 3);
  const said = `${words.results.steam} ${degrees(first.steam)}; ${words.results.water} ${degrees(first.water)} → ${degrees(last.water)}`;
  return (
    <figure className="chart">
      <figcaption>{words.results.tq}</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={said}>
        {y.ticks(5).map((tick) => (
          <g key={tick}>
            <line className="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={y(tick)} y2={y(tick)} />
            <text x={LEFT - 6} y={y(tick) + 4} textAnchor="end">
              {figure(tick, lang)}
            </text>
          </g>
        ))}
        {x.ticks(5).map((tick) => (
          <text key={tick} x={x(tick)} y={HEIGHT - BOTTOM + 16} textAnchor="middle">
            {figure(tick, lang)}
          </text>
        ))}
        <text x={LEFT - 6} y={11} textAnchor="end">
          {unitIn("°C", words)}
        </text>
        <text x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 6} textAnchor="middle">
          {words.results.heatAxis}
        </text>
        <path className="between" d={`${path("steam")}L${x(last.heat)},${y(last.water)}${path("water").replace(/^M/, "L").split("L").filter(Boolean).reverse().map((point) => `L${point}`).join("")}Z`} />
        <path className="line-steam" d={path("steam")} />
        <path className="line-water" d={path("water")} />
        <text className="name steam-name" x={LEFT + 8} y={y(first.steam) - 7}>
          {words.results.steam} {degrees(first.steam)}
        </text>
        <text className="name water-name" x={LEFT + 8} y={y(first.water) + 16}>
          {degrees(first.water)}
        </text>
        <text className="name water-name" x={x(last.heat) - 8} y={y(last.water) + 34} textAnchor="end">
          {words.results.water} {degrees(last.water)}
        </text>
        <line className="gap" x1={x(last.heat)} x2={x(last.heat)} y1={y(last.steam)} y2={y(last.water)} />
        <text className="name" x={x(last.heat)} y={y(last.steam) - 7} textAnchor="end">
          {words.results.terminal(quantity(difference, "K", words, lang, 3))}
        </text>
      </svg>
    </figure>
  );
}

function pointsOf(result: unknown): readonly Point[] {
  const duty = number(result, "heat_duty_mw") ?? 0;
  return list(result, "temperature_profile").flatMap((entry) => {
    const [fraction, steam, water] = [number(entry, "heat_fraction"), number(entry, "steam_c"), number(entry, "water_c")];
    return fraction === null || steam === null || water === null ? [] : [{ heat: fraction * duty, steam, water }];
  });
}
