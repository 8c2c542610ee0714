import type { Language } from "./language";

const UNITS: readonly (readonly ["day" | "hour" | "minute", number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** A span of time as people say it: seconds below a minute, then minutes, then two units, such as "2 d 4 h". */
export function span(ms: number, lang: Language): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return withUnit(seconds, "second", lang);
  const parts: string[] = [];
  let rest = seconds;
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0 && parts.length < 2) parts.push(withUnit(count, unit, lang));
  }
  return parts.join(" ");
}

/** A short span to a tenth of a second, for steps that are done before one has counted to ten. */
export function shortSpan(ms: number, lang: Language): string {
  if (ms >= 10_000) return span(ms, lang);
  return new Intl.NumberFormat(lang, { style: "unit", unit: "second", unitDisplay: "narrow", maximumFractionDigits: ms < 1000 ? 2 : 1 }).format(ms / 1000);
}

function withUnit(count: number, unit: "day" | "hour" | "minute" | "second", lang: Language): string {
  return new Intl.NumberFormat(lang, { style: "unit", unit, unitDisplay: "short" }).format(count).replaceAll(" ", "\u00a0");
}

export function moment(iso: string, lang: Language): string {
  return new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));
}

export function clock(iso: string, lang: Language): string {
  return new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(new Date(iso));
}

export function day(iso: string, lang: Language): string {
  return new Intl.DateTimeFormat(lang, { dateStyle: "medium" }).format(new Date(iso));
}

/** A number as engineers write it: significant digits, no grouping below five places. */
export function figure(value: number, lang: Language, digits = 4): string {
  return new Intl.NumberFormat(lang, { maximumSignificantDigits: digits, useGrouping: "min2" }).format(value);
}
