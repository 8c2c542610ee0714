import type { Dictionary } from "./en";
import { figure } from "./format";
import type { Language } from "./language";

/** A unit as the reader's language writes it; an unknown one stays as it is. */
export function unitIn(unit: string, { results }: Dictionary): string {
  return unit in results.units ? results.units[unit as keyof typeof results.units] : unit;
}

/** A number with its unit, and a space between them that does not break. */
export function quantity(value: number, unit: string, words: Dictionary, lang: Language, digits = 4): string {
  const shown = figure(value, lang, digits);
  return unit === "" ? shown : `${shown}\u00a0${unitIn(unit, words)}`;
}
