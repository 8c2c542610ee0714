import { graphql } from "../gql";
import { type Language, language } from "../i18n/language";
import { client } from "./client";
import { connection } from "./connection";
import { store, useStore } from "./store";

/** The titles of what the service can calculate, by name: an installation may have a catalogue of its own. */
export interface Catalogue {
  readonly definitions: ReadonlyMap<string, string>;
  readonly calculations: ReadonlyMap<string, string>;
}

const Titles = graphql(`
  query Titles {
    sagaDefinitions { name title }
    calculations { name title }
  }
`);

const catalogue = store<Catalogue>({ definitions: new Map(), calculations: new Map() });
let loaded: Language | null = null;

/** The titles in the reader's language; names stand in for them until they are there. */
export function useCatalogue(): Catalogue {
  return useStore(catalogue);
}

export function titleOf(titles: ReadonlyMap<string, string>, name: string): string {
  return titles.get(name) ?? name.replaceAll("_", " ");
}

async function load(): Promise<void> {
  const wanted = language.get();
  if (loaded === wanted) return;
  const { data } = await client.query(Titles, {}).toPromise();
  if (!data || wanted !== language.get()) return;
  loaded = wanted;
  const titles = (entries: readonly { name: string; title: string }[]) => new Map(entries.map(({ name, title }) => [name, title]));
  catalogue.set({ definitions: titles(data.sagaDefinitions), calculations: titles(data.calculations) });
}

language.subscribe(() => void load());
connection.subscribe(() => connection.get().link === "live" && void load());
void load();
