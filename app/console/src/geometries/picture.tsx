import { useLanguage, useWords } from "../i18n";
import { figure } from "../i18n/format";
import { quantity } from "../i18n/units";
import { number } from "../results/read";

const WIDTH = 210;
const HEIGHT = 112;
const TUBE = { x: 46, y: 46, radius: 34 } as const;
const BUNDLE = { x: 146, y: 46, radius: 42 } as const;

interface Tubes {
  readonly diameter: number;
  readonly wall: number;
  readonly count: number | null;
  readonly length: number | null;
  readonly passes: number | null;
}

/** The largest tube of a table: all its pictures have one scale, so that one sees which is larger. */
export function largestTube(all: readonly unknown[]): number {
  return Math.max(0, ...all.map((attributes) => number(attributes, "outer_diameter_mm") ?? 0));
}

/** A tube's cross-section to scale, and the tube sheet as a scheme: its passes, and denser the more tubes it has. */
export function TubePicture({ attributes, largest }: { attributes: unknown; largest: number }) {
  const words = useWords();
  const lang = useLanguage();
  const tubes = tubesOf(attributes);
  if (tubes === null || largest === 0) return <span className="quiet">{words.geometries.noPicture}</span>;
  const outer = (TUBE.radius * tubes.diameter) / largest;
  const inner = outer * (1 - (2 * tubes.wall) / tubes.diameter);
  const size = `⌀${figure(tubes.diameter, lang)} × ${quantity(tubes.wall, "mm", words, lang)}`;
  const bundle = [tubes.count === null ? null : figure(tubes.count, lang, 6), tubes.length === null ? null : quantity(tubes.length, "m", words, lang)].filter((part) => part !== null).join(" × ");
  return (
    <svg className="tubes" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={[size, bundle].join("; ")}>
      <path className="wall" fillRule="evenodd" d={`${circle(TUBE.x, TUBE.y, outer)}${circle(TUBE.x, TUBE.y, inner)}`} />
      <text x={TUBE.x} y={HEIGHT - 6} textAnchor="middle">
        {size}
      </text>
      {tubes.count !== null && (
        <>
          <circle className="shell" cx={BUNDLE.x} cy={BUNDLE.y} r={BUNDLE.radius} />
          {holes(tubes.count).map(([x, y, radius]) => (
            <circle key={`${x} ${y}`} className="hole" cx={x} cy={y} r={radius} />
          ))}
          {lines(tubes.passes ?? 1).map((y) => (
            <line key={y} className="pass" x1={BUNDLE.x - BUNDLE.radius} x2={BUNDLE.x + BUNDLE.radius} y1={y} y2={y} />
          ))}
          <text x={BUNDLE.x} y={HEIGHT - 6} textAnchor="middle">
            {bundle}
          </text>
        </>
      )}
    </svg>
  );
}

function tubesOf(attributes: unknown): Tubes | null {
  const [diameter, wall] = [number(attributes, "outer_diameter_mm"), number(attributes, "wall_thickness_mm")];
  if (diameter === null || wall === null || diameter <= 0 || wall <= 0 || 2 * wall >= diameter) return null;
  return { diameter, wall, count: number(attributes, "tube_count"), length: number(attributes, "effective_length_m"), passes: number(attributes, "passes") };
}

function circle(x: number, y: number, radius: number): string {
  return `M${x - radius},${y}a${radius},${radius} 0 1 0 ${2 * radius},0a${radius},${radius} 0 1 0 ${-2 * radius},0Z`;
}

/** One hole stands for some hundred tubes, on a triangular pitch. */
function holes(count: number): readonly (readonly [number, number, number])[] {
  const shown = Math.min(240, Math.max(18, count / 100));
  const pitch = BUNDLE.radius * Math.sqrt((2 * Math.PI) / (Math.sqrt(3) * shown));
  const rows = Math.ceil(BUNDLE.radius / pitch) + 1;
  const found: [number, number, number][] = [];
  for (let row = -rows; row <= rows; row += 1) {
    for (let column = -rows; column <= rows; column += 1) {
      const x = BUNDLE.x + (column + (row % 2 === 0 ? 0 : 0.5)) * pitch;
      const y = BUNDLE.y + row * pitch * (Math.sqrt(3) / 2);
      if (Math.hypot(x - BUNDLE.x, y - BUNDLE.y) < BUNDLE.radius - pitch * 0.55) found.push([Number(x.toFixed(1)), Number(y.toFixed(1)), Number((pitch * 0.34).toFixed(2))]);
    }
  }
  return found;
}

/** Between the passes of the water. */
function lines(passes: number): readonly number[] {
  return Array.from({ length: Math.max(0, Math.min(8, passes) - 1) }, (_, index) => BUNDLE.y - BUNDLE.radius + (2 * BUNDLE.radius * (index + 1)) / passes);
}
