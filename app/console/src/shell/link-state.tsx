import { type Link, connection, reconnect } from "../api/connection";
import { useStore } from "../api/store";
import { useLanguage, useWords } from "../i18n";
import { span } from "../i18n/format";
import { useNow } from "../ui/time";

/** A cut this short is mended before anybody needs to know. */
const WORTH_TELLING_MS = 3_000;

/** Whether the page is live, always in sight. */
export function LinkState() {
  const words = useWords();
  const { link } = useStore(connection);
  const said: Record<Link, string> = {
    live: words.link.live,
    connecting: words.link.connecting,
    lost: words.link.lost,
    refused: words.link.refused,
  };
  return (
    <span className="link-state" data-link={link} title={link === "live" ? words.link.liveHelp : undefined}>
      <i aria-hidden="true" />
      <span role="status">{said[link]}</span>
    </span>
  );
}

/** Says that the page is not live, and for how long it has not been. */
export function StaleNotice() {
  const words = useWords();
  const lang = useLanguage();
  const { link, lostAt } = useStore(connection);
  const now = useNow();
  if (link !== "lost" || lostAt === null || now - lostAt < WORTH_TELLING_MS) return null;
  return (
    <div className="stale">
      <p>{words.link.staleFor(span(now - lostAt, lang))}</p>
      <button onClick={reconnect}>{words.link.retry}</button>
    </div>
  );
}
