import { useEffect } from "react";

import { useWords } from "../i18n";

/** The tab's title: what the page shows, then whose it is. */
export function useTitle(title: string): void {
  const { name } = useWords();
  useEffect(() => {
    document.title = `${title} · ${name}`;
  }, [title, name]);
}
