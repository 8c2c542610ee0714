import "./page.css";

import { useDeferredValue, useEffect, useMemo, useState } from "react";
import { Link, useSearchParams } from "wouter";

import { useStore } from "../api/store";
import { useWords } from "../i18n";
import { Problem } from "../ui/problem";
import { useTitle } from "../ui/title";
import { FilterBar } from "./filter-bar";
import { asked, read, written, type Filters } from "./filters";
import { LiveSagas } from "./live-sagas";
import { SagaTable } from "./table";

/** Every saga that the reader may see, live. */
export default function SagasPage() {
  const words = useWords();
  useTitle(words.sagas.title);
  const [params, setParams] = useSearchParams();
  const filters = read(params);
  // Typing goes on while the list of the last but one letter is still on its way.
  const key = useDeferredValue(JSON.stringify(asked(filters)));
  const sagas = useLiveSagas(key);
  const { rows, total, more, state, error } = useStore(sagas.listed);
  const left = rows.filter((row) => row.left).length;
  const change = (next: Filters) => setParams(written(next), { replace: true });
  return (
    <main id="content" className="sagas" tabIndex={-1}>
      <header className="page-head">
        <h1>{words.sagas.title}</h1>
        <p className="quiet" role="status">
          {state === "loading" ? words.sagas.loading : words.sagas.count(rows.length - left, total)}
        </p>
        {left > 0 && (
          <p className="left">
            {words.sagas.left(left)} <button onClick={() => sagas.tidy()}>{words.sagas.tidy}</button>
          </p>
        )}
      </header>
      <FilterBar filters={filters} projects={useProjects(rows)} change={change} />
      {error !== null && <Problem error={error} again={() => sagas.refresh()} />}
      {state === "shown" && rows.length === 0 ? (
        <p className="empty">
          {written(filters).size > 0 ? (
            <>
              {words.sagas.none} <button onClick={() => change(read(new URLSearchParams()))}>{words.sagas.clear}</button>
            </>
          ) : (
            <>
              {words.sagas.nothingYet} <Link href="/issues">{words.sagas.startOne}</Link>
            </>
          )}
        </p>
      ) : (
        <SagaTable rows={rows} total={total} more={more} busy={state === "loading more"} loadMore={() => sagas.loadMore()} />
      )}
    </main>
  );
}

function useLiveSagas(key: string): LiveSagas {
  const sagas = useMemo(() => new LiveSagas(JSON.parse(key)), [key]);
  useEffect(() => {
    sagas.open();
    return () => sagas.close();
  }, [sagas]);
  return sagas;
}

/** The projects seen so far; an address may name others. */
const seen = new Set<string>();

function useProjects(rows: readonly { readonly projectPath: string }[]): readonly string[] {
  const [known, learn] = useState<readonly string[]>([...seen].sort());
  useEffect(() => {
    const before = seen.size;
    for (const { projectPath } of rows) seen.add(projectPath);
    if (seen.size !== before) learn([...seen].sort());
  }, [rows]);
  return known;
}
