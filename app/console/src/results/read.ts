/** Reading result documents: they are a worker's, so nothing in them is taken for granted. */
export type Document = Readonly<Record<string, unknown>>;

export function isDocument(value: unknown): value is Document {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The number at a path; null where there is none. */
export function number(document: unknown, ...path: readonly string[]): number | null {
  const value = path.reduce<unknown>((node, key) => (isDocument(node) ? node[key] : undefined), document);
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function list(document: unknown, key: string): readonly Document[] {
  const value = isDocument(document) ? document[key] : undefined;
  return Array.isArray(value) ? value.filter(isDocument) : [];
}

export function text(document: unknown, key: string): string | null {
  const value = isDocument(document) ? document[key] : undefined;
  return typeof value === "string" ? value : null;
}

/** What the worker wants people to know about its result. */
export function warnings(document: unknown): readonly string[] {
  const value = isDocument(document) ? document["warnings"] : undefined;
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}

const UNITS: readonly (readonly [RegExp, string])[] = [
  [/_w_per_m2_k$/, "W/(m²·K)"],
  [/_kj_per_kwh$/, "kJ/kWh"],
  [/_kj_per_kg_k$/, "kJ/(kg·K)"],
  [/_w_per_m_k$/, "W/(m·K)"],
  [/_kj_per_kg$/, "kJ/kg"],
  [/_kg_s$/, "kg/s"],
  [/_m_s$/, "m/s"],
  [/_m2$/, "m²"],
  [/_kpa$/, "kPa"],
  [/_mpa$/, "MPa"],
  [/_mw$/, "MW"],
  [/_kw$/, "kW"],
  [/_mm$/, "mm"],
  [/_m$/, "m"],
  [/_percent$/, "%"],
  [/_c$/, "°C"],
  [/_k$/, "K"],
];

/** The units stand at the end of the keys. A key without one is a pure number. */
export function named(key: string): { readonly name: string; readonly unit: string } {
  for (const [end, unit] of UNITS) if (end.test(key)) return { name: key.replace(end, ""), unit };
  return { name: key, unit: "" };
}
