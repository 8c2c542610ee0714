import "./shell.css";

import { type ReactNode } from "react";
import { Link, useLocation } from "wouter";

import { useWords } from "../i18n";
import { LinkState, StaleNotice } from "./link-state";
import { Preferences } from "./preferences";
import { SignIn } from "./sign-in";
import { useViewer } from "./viewer";

/** Where GraphiQL is; the service leaves the mark out where it shows none. */
const graphiql = document.querySelector<HTMLMetaElement>("meta[name=graphiql]")?.content ?? null;

/** What stands around every page: where to go, whether what one sees is live, and how one likes it. */
export function Shell({ children }: { children: ReactNode }) {
  const words = useWords();
  const viewer = useViewer();
  return (
    <>
      <a className="skip" href="#content">
        {words.skip}
      </a>
      <header className="shell">
        <Link href="/sagas" className="mark">
          <Mark />
          {words.name}
        </Link>
        <nav aria-label={words.nav.label}>
          <Tab href="/sagas">{words.nav.sagas}</Tab>
          <Tab href="/issues">{words.nav.issues}</Tab>
          <Tab href="/geometries">{words.nav.geometries}</Tab>
          {graphiql !== null && <a href={graphiql}>{words.nav.api}</a>}
        </nav>
        <div className="shell-end">
          <LinkState />
          <Preferences viewer={viewer} />
        </div>
      </header>
      <StaleNotice />
      {viewer === "refused" ? <SignIn /> : children}
    </>
  );
}

function Tab({ href, children }: { href: string; children: ReactNode }) {
  const [path] = useLocation();
  const here = path === href || path.startsWith(`${href}/`);
  return (
    <Link href={href} aria-current={here ? "page" : undefined}>
      {children}
    </Link>
  );
}

/** A balance beam on its pivot. */
function Mark() {
  return (
    <svg viewBox="0 0 24 24" width="22" height="22" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d="M3 8.5h18M12 8.5 8.5 20h7L12 8.5ZM6 4.5v4M18 2.5v6" />
    </svg>
  );
}
