import { useStore } from "../api/store";
import { keepToken, token } from "../api/token";
import { useWords } from "../i18n";
import { type Language, language } from "../i18n/language";
import { type Theme, theme } from "./theme";
import type { Viewer } from "./viewer";

const LANGUAGES: Record<Language, string> = { en: "English", ru: "Русский" };
const THEMES: readonly Theme[] = ["system", "light", "dark"];

export function Preferences({ viewer }: { viewer: Viewer }) {
  const words = useWords();
  const lang = useStore(language);
  const look = useStore(theme);
  const name = viewer === null || viewer === "refused" ? null : (viewer.name ?? viewer.username);
  const forget = () => {
    keepToken("");
    location.reload();
  };
  return (
    <details className="preferences" onBlur={(event) => !event.currentTarget.contains(event.relatedTarget) && event.currentTarget.removeAttribute("open")}>
      <summary>
        <span className="initials" aria-hidden="true">
          {name === null ? "…" : initials(name)}
        </span>
        <span className="sr">{name === null ? words.shell.theme : words.shell.signedIn(name)}</span>
      </summary>
      <div>
        {name !== null && <p>{words.shell.signedIn(name)}</p>}
        <label>
          {words.shell.language}
          <select value={lang} onChange={(event) => language.set(event.target.value as Language)}>
            {Object.entries(LANGUAGES).map(([code, title]) => (
              <option key={code} value={code} lang={code}>
                {title}
              </option>
            ))}
          </select>
        </label>
        <label>
          {words.shell.theme}
          <select value={look} onChange={(event) => theme.set(event.target.value as Theme)}>
            {THEMES.map((choice) => (
              <option key={choice} value={choice}>
                {words.shell.themes[choice]}
              </option>
            ))}
          </select>
        </label>
        {token() !== "" && <button onClick={forget}>{words.shell.signOut}</button>}
      </div>
    </details>
  );
}

function initials(name: string): string {
  return name
    .split(/[\s._-]+/)
    .slice(0, 2)
    .map((part) => part.charAt(0).toUpperCase())
    .join("");
}
