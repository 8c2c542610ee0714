import { useState } from "react";

const KEY = "orchestrator.token";

/** What authenticates a request or a websocket: nothing where no token was entered, as in the demo. */
export function authorization(): Record<string, string> {
  const token = (sessionStorage.getItem(KEY) ?? "").trim();
  return token === "" ? {} : { Authorization: `Bearer ${token}` };
}

/** The field for the token. It is kept for this browser tab only, and gone when that is closed. */
export function TokenField() {
  const [token, setToken] = useState(() => sessionStorage.getItem(KEY) ?? "");
  const keep = (entered: string) => {
    if (entered === "") sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, entered);
    setToken(entered);
  };
  return (
    <div className="token-field">
      <a href="/" title="How the service does">Balance+</a>
      <label>
        Token
        <input
          type="password"
          autoComplete="off"
          spellCheck={false}
          placeholder="not needed in the demo"
          title="Sent as 'Authorization: Bearer …' with every request and websocket; kept for this browser tab only"
          value={token}
          onChange={(event) => keep(event.target.value)}
        />
      </label>
    </div>
  );
}
