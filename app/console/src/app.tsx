import { lazy, Suspense } from "react";
import { Link, Redirect, Route, Switch } from "wouter";

import { useWords } from "./i18n";
import SagasPage from "./sagas/page";
import { Shell } from "./shell/shell";
import { Boundary } from "./ui/boundary";

/** The list comes with the first view; what draws graphs, forms and charts comes when it is asked for. */
const IssuesPage = lazy(() => import("./issues/page"));
const GeometriesPage = lazy(() => import("./geometries/page"));
const SagaPage = lazy(() => import("./saga/page"));

export function App() {
  return (
    <Shell>
      <Boundary>
        <Suspense fallback={<main id="content" className="loading" aria-busy="true" tabIndex={-1} />}>
        <Switch>
          <Route path="/">
            <Redirect to={`/sagas${location.search}`} replace />
          </Route>
          <Route path="/sagas" component={SagasPage} />
          <Route path="/sagas/:id">{({ id }) => <SagaPage key={id} id={decoded(id)} />}</Route>
          <Route path="/issues" component={IssuesPage} />
          <Route path="/geometries" component={GeometriesPage} />
          <Route component={NoSuchPage} />
        </Switch>
      </Suspense>
      </Boundary>
    </Shell>
  );
}

/** An address that somebody cut in the middle of an escape is no reason to show nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function NoSuchPage() {
  const words = useWords();
  return (
    <main id="content" className="page" tabIndex={-1}>
      <h1>{words.errors.notFoundTitle}</h1>
      <p>
        <Link href="/sagas">{words.errors.home}</Link>
      </p>
    </main>
  );
}
