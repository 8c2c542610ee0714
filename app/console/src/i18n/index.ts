import { useStore } from "../api/store";
import { type Dictionary, en } from "./en";
import { type Language, language } from "./language";
import { ru } from "./ru";

const DICTIONARIES: Record<Language, Dictionary> = { en, ru };

/** The words of the console in the reader's language. */
export function useWords(): Dictionary {
  return DICTIONARIES[useStore(language)];
}

export function useLanguage(): Language {
  return useStore(language);
}
