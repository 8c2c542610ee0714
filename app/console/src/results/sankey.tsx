import { sankey, sankeyJustify, sankeyLinkHorizontal } from "d3-sankey";

import { useLanguage, useWords } from "../i18n";
import { quantity } from "../i18n/units";
import { list, number, text } from "./read";

const WIDTH = 940;
const HEIGHT = 340;
const SIDE = 215;

interface Place {
  readonly name: string;
}

interface Flow {
  readonly source: string;
  readonly target: string;
  readonly value: number;
}

/** What is worth a colour of its own; all else is a loss, and quiet. */
const TONES: Record<string, string> = { fuel: "fuel", cycle: "fuel", turbine: "power", grid_and_auxiliaries: "power", cooling_water: "water" };

/** The plant's balance as a Sankey diagram: each band is as wide as its heat flow. */
export function SankeyChart({ result }: { result: unknown }) {
  const words = useWords();
  const lang = useLanguage();
  const flows = flowsOf(result);
  if (flows.length === 0) return null;
  const names = [...new Set(flows.flatMap(({ source, target }) => [source, target]))];
  const { nodes, links } = sankey<Place, Flow>()
    .nodeId((node) => node.name)
    .nodeAlign(sankeyJustify)
    .nodeWidth(10)
    .nodePadding(26)
    .extent([
      [SIDE, 12],
      [WIDTH - SIDE, HEIGHT - 12],
    ])({ nodes: names.map((name) => ({ name })), links: flows.map((flow) => ({ ...flow })) });
  const path = sankeyLinkHorizontal<Place, Flow>();
  const called = (name: string) => (name in words.results.flows ? words.results.flows[name as keyof typeof words.results.flows] : name.replaceAll("_", " "));
  const megawatts = (value: number) => quantity(value, "MW", words, lang, value < 10 ? 2 : 4);
  const said = flows.map(({ source, target, value }) => `${called(source)} → ${called(target)}: ${megawatts(value)}`).join("; ");
  return (
    <figure className="chart wide" tabIndex={0} aria-label={words.results.sankey}>
      <figcaption>{words.results.sankey}</figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={said}>
        {links.map((link) => {
          const [source, target] = [link.source as unknown as Place, link.target as unknown as Place];
          return (
            <path key={`${source.name} ${target.name}`} className={`band ${TONES[target.name] ?? TONES[source.name === "cycle" ? "cycle" : ""] ?? "loss"}`} d={path(link) ?? ""} strokeWidth={Math.max(1, link.width ?? 0)}>
              <title>{`${called(source.name)} → ${called(target.name)}: ${megawatts(link.value)}`}</title>
            </path>
          );
        })}
        {nodes.map(({ name, x0 = 0, x1 = 0, y0 = 0, y1 = 0, value = 0 }) => {
          const inside = x0 > SIDE && x1 < WIDTH - SIDE;
          const left = x0 <= SIDE;
          return (
            <g key={name}>
              <rect className={`bar ${TONES[name] ?? "loss"}`} x={x0} y={y0} width={x1 - x0} height={Math.max(1, y1 - y0)} />
              <text x={inside ? (x0 + x1) / 2 : left ? x0 - 8 : x1 + 8} y={inside ? y0 - 6 : (y0 + y1) / 2 + 4} textAnchor={inside ? "middle" : left ? "end" : "start"}>
                <tspan className="name">{called(name)}</tspan> {megawatts(value)}
              </text>
            </g>
          );
        })}
      </svg>
    </figure>
  );
}

/** A flow below zero is one the other way round. */
function flowsOf(result: unknown): Flow[] {
  return list(result, "energy_flows").flatMap((entry) => {
    const [source, target, value] = [text(entry, "source"), text(entry, "target"), number(entry, "value_mw")];
    if (source === null || target === null || value === null || value === 0) return [];
    return value > 0 ? [{ source, target, value }] : [{ source: target, target: source, value: -value }];
  });
}
