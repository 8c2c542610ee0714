import { type FormEvent, useState } from "react";

import { keepToken, token } from "../api/token";
import { useWords } from "../i18n";
import { useTitle } from "../ui/title";

/** Asks for a token. The page is loaded anew with it, so that nothing of another user stays behind. */
export function SignIn() {
  const words = useWords();
  useTitle(words.shell.token);
  const [entered, enter] = useState("");
  const use = (event: FormEvent) => {
    event.preventDefault();
    keepToken(entered);
    location.reload();
  };
  return (
    <main id="content" className="sign-in" tabIndex={-1}>
      <form onSubmit={use}>
        <h1>{token() === "" ? words.shell.tokenNeeded : words.shell.tokenRefused}</h1>
        <label>
          {words.shell.token}
          <input type="password" autoComplete="off" spellCheck={false} required value={entered} onChange={(event) => enter(event.target.value)} aria-describedby="token-help" />
        </label>
        <p id="token-help" className="quiet">
          {words.shell.tokenHelp}
        </p>
        <button className="primary">{words.shell.useToken}</button>
      </form>
    </main>
  );
}
