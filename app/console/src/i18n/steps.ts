import { type Catalogue, titleOf } from "../api/catalogue";
import type { Dictionary } from "./en";

const OF_A_CALCULATION: readonly (readonly [RegExp, keyof Dictionary["steps"]])[] = [
  [/^CHECK_(.+)$/, "CHECK"],
  [/^HYDRATE_(.+)$/, "HYDRATE"],
  [/^AWAIT_USER_(.+)_INPUT$/, "AWAIT_INPUT"],
  [/^COMMIT_(.+)_INPUT$/, "COMMIT"],
  [/^DISPATCH_(.+)$/, "DISPATCH"],
  [/^AWAIT_(.+)_RESULT$/, "AWAIT_RESULT"],
  [/^SYNC_(.+)_RESULT$/, "SYNC"],
];

export interface StepWords {
  /** The calculation's title; null for a step that belongs to none. */
  readonly calculation: string | null;
  readonly doing: string;
}

/** What a state of the chart means to people; a state that this build does not know is shown as it is. */
export function stepWords(state: string, words: Dictionary, catalogue: Catalogue): StepWords {
  for (const [pattern, key] of OF_A_CALCULATION) {
    const name = pattern.exec(state)?.[1]?.toLowerCase();
    if (name !== undefined) return { calculation: titleOf(catalogue.calculations, name), doing: words.steps[key] };
  }
  return { calculation: null, doing: state in words.steps ? words.steps[state as keyof Dictionary["steps"]] : state };
}
