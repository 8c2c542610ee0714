import { store } from "../api/store";

export type Language = "en" | "ru";

const KEY = "orchestrator.language";

function first(): Language {
  const chosen = localStorage.getItem(KEY) ?? navigator.language;
  return chosen.startsWith("ru") ? "ru" : "en";
}

export const language = store<Language>(first());

document.documentElement.lang = language.get();
language.subscribe(() => {
  localStorage.setItem(KEY, language.get());
  document.documentElement.lang = language.get();
});
