import { store } from "../api/store";

export type Theme = "system" | "light" | "dark";

const KEY = "orchestrator.theme";

function chosen(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === "light" || kept === "dark" ? kept : "system";
}

export const theme = store<Theme>(chosen());

function apply(): void {
  document.documentElement.dataset["theme"] = theme.get();
  localStorage.setItem(KEY, theme.get());
}

apply();
theme.subscribe(apply);
