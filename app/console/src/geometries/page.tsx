import "./page.css";

import { useDeferredValue, useEffect, useState } from "react";
import { type CombinedError } from "urql";
import { useSearchParams } from "wouter";

import { client } from "../api/client";
import { connection } from "../api/connection";
import { useStore } from "../api/store";
import { graphql } from "../gql";
import type { GeometriesPageQuery } from "../gql/graphql";
import { useLanguage, useWords } from "../i18n";
import { figure } from "../i18n/format";
import { unitIn } from "../i18n/units";
import { type Document, isDocument, named } from "../results/read";
import { called } from "../results/values";
import { Problem } from "../ui/problem";
import { useTitle } from "../ui/title";
import { largestTube, TubePicture } from "./picture";

const GeometriesPageDocument = graphql(`
  query GeometriesPage($projectPath: ID!, $ref: String) {
    geometries(projectPath: $projectPath, ref: $ref) { id key name kind file description attributes }
  }
`);

const KnownProjects = graphql(`
  query KnownProjects {
    issues(first: 100, state: ALL) { edges { node { projectPath } } }
    sagas(first: 100) { edges { node { projectPath } } }
  }
`);

export type Geometry = NonNullable<GeometriesPageQuery["geometries"]>[number];

interface Read {
  readonly geometries: readonly Geometry[] | null;
  readonly error: CombinedError | null;
}

/** What a project's manifest lists, with a picture of the tubes where it says how they are. */
export default function GeometriesPage() {
  const words = useWords();
  useTitle(words.geometries.title);
  const [params, setParams] = useSearchParams();
  const projects = useProjects();
  const project = params.get("project") ?? projects[0] ?? "";
  const ref = params.get("ref") ?? "";
  const { read, again } = useGeometries(project, useDeferredValue(ref));
  const change = (next: { project?: string; ref?: string }) => {
    const asked = { project, ref, ...next };
    setParams(Object.entries(asked).filter(([, value]) => value !== ""), { replace: true });
  };
  const choices = project === "" || projects.includes(project) ? projects : [project, ...projects];
  const { geometries, error } = read;
  return (
    <main id="content" className="page geometries" tabIndex={-1} aria-busy={geometries === null && error === null}>
      <header className="page-head">
        <h1>{words.geometries.title}</h1>
        <p className="quiet">{words.geometries.hint}</p>
      </header>
      <search className="filters">
        <select aria-label={words.sagas.project} value={project} onChange={(event) => change({ project: event.target.value })}>
          {choices.map((path) => (
            <option key={path}>{path}</option>
          ))}
        </select>
        <input type="search" aria-label={words.geometries.ref} placeholder={words.geometries.refHint} value={ref} onChange={(event) => change({ ref: event.target.value })} />
      </search>
      {error !== null && <Problem error={error} again={again} />}
      {geometries?.length === 0 && <p className="empty">{words.geometries.none}</p>}
      {geometries !== null && geometries.length > 0 && <Table geometries={geometries} />}
    </main>
  );
}

function Table({ geometries }: { geometries: readonly Geometry[] }) {
  const words = useWords();
  const largest = largestTube(geometries.map(dataOf));
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={words.geometries.title}>
      <table className="geometry-table">
        <thead>
          <tr>
            <th scope="col">{words.geometries.picture}</th>
            <th scope="col">{words.geometries.what}</th>
            <th scope="col">{words.geometries.attributes}</th>
          </tr>
        </thead>
        <tbody>
          {geometries.map((geometry) => (
            <tr key={geometry.id}>
              <td className="picture">
                <TubePicture attributes={dataOf(geometry)} largest={largest} />
              </td>
              <th scope="row">
                {geometry.name}
                <small className="mono">{geometry.key}</small>
                {geometry.kind !== null && <span className="label">{geometry.kind.replaceAll("_", " ")}</span>}
                <p>{geometry.description}</p>
              </th>
              <td>
                <Attributes attributes={dataOf(geometry)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Whether a manifest keeps an entry's data beside its name or in a group of their own. */
function dataOf({ attributes }: Geometry): Document {
  if (!isDocument(attributes)) return {};
  const { attributes: grouped, ...rest } = attributes;
  return isDocument(grouped) ? { ...rest, ...grouped } : attributes;
}

function Attributes({ attributes }: { attributes: Document }) {
  const words = useWords();
  const lang = useLanguage();
  return (
    <dl>
      {Object.entries(attributes).map(([key, value]) => (
        <div key={key}>
          <dt>{called(key, words)}</dt>
          <dd>
            {typeof value === "number" ? figure(value, lang, 6) : typeof value === "string" ? value : JSON.stringify(value)} <small>{unitIn(named(key).unit, words)}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function useGeometries(project: string, ref: string): { read: Read; again: () => void } {
  const { epoch } = useStore(connection);
  const [tries, tryAgain] = useState(0);
  const [read, learn] = useState<Read>({ geometries: null, error: null });
  useEffect(() => {
    if (project === "") return;
    let wanted = true;
    void client
      .query(GeometriesPageDocument, { projectPath: project, ref: ref.trim() === "" ? null : ref.trim() })
      .toPromise()
      .then(({ data, error }) => wanted && learn({ geometries: data?.geometries ?? null, error: data?.geometries ? null : (error ?? null) }));
    return () => {
      wanted = false;
    };
  }, [project, ref, epoch, tries]);
  return { read, again: () => tryAgain(tries + 1) };
}

function useProjects(): readonly string[] {
  const [known, learn] = useState<readonly string[]>([]);
  useEffect(() => {
    void client
      .query(KnownProjects, {})
      .toPromise()
      .then(({ data }) => {
        const paths = [...(data?.issues?.edges ?? []), ...(data?.sagas.edges ?? [])].map(({ node }) => node.projectPath);
        learn([...new Set(paths)].sort());
      });
  }, []);
  return known;
}
