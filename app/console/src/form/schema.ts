import type { RJSFSchema } from "@rjsf/utils";

import type { Language } from "../i18n/language";

/** A node of a catalogue's JSON Schema, with the marks that the catalogue adds for people. */
export interface Marked extends RJSFSchema {
  readonly "x-unit"?: string;
  readonly "x-geometry-kind"?: string;
}

/** The schema with titles and descriptions in the reader's language; English stands in for what is missing. */
export function inLanguage(schema: unknown, lang: Language): RJSFSchema {
  return (lang === "en" ? schema : translated(schema, lang)) as RJSFSchema;
}

function translated(node: unknown, lang: Language): unknown {
  if (Array.isArray(node)) return node.map((part: unknown) => translated(part, lang));
  if (typeof node !== "object" || node === null) return node;
  const own = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, translated(value, lang)]));
  for (const word of ["title", "description"]) {
    const known: unknown = own[`x-${word}-${lang}`];
    if (typeof known === "string") own[word] = known;
  }
  return own;
}

/** The unit of a number, as it is written behind it; "1" is the catalogue's word for none. */
export function unitOf(schema: Marked): string {
  const unit = schema["x-unit"] ?? "";
  return unit === "1" ? "" : unit;
}

/** The node of the schema that describes the value at a path. */
export function nodeAt(schema: RJSFSchema, path: readonly string[]): Marked | undefined {
  let node: RJSFSchema | undefined = schema;
  for (const part of path) {
    const next: unknown = node?.type === "array" ? node.items : node?.properties?.[part];
    if (typeof next !== "object" || next === null || Array.isArray(next)) return undefined;
    node = next as RJSFSchema;
  }
  return node;
}
