import { type AnyVariables, type CombinedError, type TypedDocumentNode } from "urql";

import { client } from "../api/client";
import { connection } from "../api/connection";
import { type Store, store } from "../api/store";
import type { SagaFilter, SagaRowFragment, SagaStateFragment } from "../gql/graphql";
import { OneRow, SagaTitles, SagasChanged, SagasPage } from "./documents";

export type Issue = { readonly iid: number; readonly title: string; readonly webUrl: string };
/** `left`: it does not fit the filters any more. It stays in its place, so that nothing jumps under the reader's hand. */
export type Row = SagaRowFragment & { readonly title: string | null; readonly left: boolean };

interface Page {
  readonly rows: readonly SagaRowFragment[];
  readonly end: string | null;
  readonly more: boolean;
}

export interface Listed {
  readonly rows: readonly Row[];
  readonly total: number;
  readonly more: boolean;
  readonly state: "loading" | "loading more" | "shown" | "failed";
  readonly error: CombinedError | null;
}

const PAGE = 100;
/** Changes of one moment are drawn together: a thousand sagas may move at once. */
const GATHER_MS = 40;
/** Live updates are hints, so now and then the newest page is read again. */
const SAFETY_READ_MS = 60_000;

/** The list of one filter: pages as one scrolls, changes as they happen. Of two states of a saga the higher version is the truth. */
export class LiveSagas {
  readonly listed: Store<Listed> = store<Listed>({ rows: [], total: 0, more: false, state: "loading", error: null });
  private readonly rows = new Map<string, Row>();
  private readonly titles = new Map<string, string>();
  private readonly asking = new Set<string>();
  private readonly ends: (() => void)[] = [];
  private cursor: string | null = null;
  private total = 0;
  private more = false;
  private loading = false;
  private refreshing = false;
  private wanting = false;
  private turn: Promise<void> = Promise.resolve();
  private error: CombinedError | null = null;
  private drawing: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly filter: SagaFilter) {}

  /** Begins to listen, then reads: what changes between the two is told. */
  open(): void {
    // Whatever the status: a row that no longer fits stays in sight, so it must stay true as well.
    const { unsubscribe } = client
      .subscription(SagasChanged, { filter: { ...this.filter, statuses: null } })
      .subscribe(({ data, error }) => (data ? this.changed(data.sagasUpdated) : error && this.refresh()));
    let epoch = connection.get().epoch;
    const again = connection.subscribe(() => {
      if (connection.get().epoch === epoch) return;
      epoch = connection.get().epoch;
      this.refresh();
    });
    const safety = setInterval(() => this.inTurn(() => this.readAgain(1)), SAFETY_READ_MS);
    this.ends.push(unsubscribe, again, () => clearInterval(safety), () => clearTimeout(this.drawing));
    this.refresh();
  }

  close(): void {
    for (const end of this.ends.splice(0)) end();
  }

  /** Reads everything shown so far again. */
  refresh(): void {
    if (this.refreshing) return;
    this.refreshing = true;
    this.inTurn(() => {
      this.refreshing = false;
      return this.readAgain(Math.max(1, Math.ceil(this.rows.size / PAGE)));
    });
  }

  loadMore(): void {
    if (this.wanting) return;
    this.wanting = true;
    this.inTurn(async () => {
      this.wanting = false;
      if (!this.more) return;
      const page = await this.read(this.cursor);
      if (page !== null) this.reached(page);
    });
  }

  /** One read after the other: each goes on from where the last one ended. */
  private inTurn(work: () => Promise<void>): void {
    this.turn = this.turn.then(work, work);
  }

  /** The newest pages once more. What should be among them and is not, has left the filter. */
  private async readAgain(pages: number): Promise<void> {
    const before = new Set(this.rows.keys());
    let after: string | null = null;
    for (let number = 1; number <= pages; number += 1) {
      const page: Page | null = await this.read(after);
      if (page === null) return;
      for (const { id } of page.rows) before.delete(id);
      after = page.end;
      const oldest = page.rows.at(-1);
      if (number === pages || !page.more) {
        for (const id of before) {
          const row = this.rows.get(id);
          if (row !== undefined && (!page.more || (oldest !== undefined && newestFirst(row, oldest) < 0))) this.rows.set(id, { ...row, left: true });
        }
        // A look at the newest page alone says nothing about how far the reader has come.
        if (pages * PAGE >= this.rows.size) this.reached(page);
        break;
      }
    }
    this.draw();
  }

  private reached({ end, more }: Page): void {
    this.cursor = end;
    this.more = more;
    this.draw();
  }

  /** Takes out what no longer fits. */
  tidy(): void {
    for (const [id, row] of this.rows) if (row.left) this.rows.delete(id);
    this.draw();
  }

  /** A page, merged into the rows; null where the service did not answer. */
  private async read(after: string | null): Promise<Page | null> {
    this.loading = true;
    this.draw();
    const variables = { filter: this.filter, first: PAGE, after };
    const { data, error } = await ask(SagasPage, variables);
    this.loading = false;
    this.error = data ? null : (error ?? null);
    this.draw();
    if (!data) return null;
    const { edges, pageInfo, totalCount } = data.sagas;
    const rows = edges.map(({ node }) => node);
    for (const row of rows) this.merge(row);
    this.total = totalCount;
    if (rows.some((row) => row.issueIid !== null && !this.titles.has(issueKey(row)))) void this.readTitles(variables);
    return { rows, end: pageInfo.endCursor, more: pageInfo.hasNextPage };
  }

  /** Titles are GitLab's, and GitLab may be slow or away: the rows do not wait for them. */
  private async readTitles(variables: { filter: SagaFilter; first: number; after: string | null }): Promise<void> {
    const { data } = await ask(SagaTitles, variables);
    for (const { node } of data?.sagas.edges ?? []) {
      if (node.issue) this.titles.set(issueKey(node), node.issue.title);
    }
    for (const [id, row] of this.rows) {
      const title = this.titles.get(issueKey(row)) ?? null;
      if (title !== row.title) this.rows.set(id, { ...row, title });
    }
    this.draw();
  }

  private merge(row: SagaRowFragment): void {
    const known = this.rows.get(row.id);
    if (known !== undefined && known.version > row.version) return;
    this.rows.set(row.id, { ...row, title: this.titles.get(issueKey(row)) ?? null, left: !this.fits(row) });
  }

  private changed(state: SagaStateFragment): void {
    const known = this.rows.get(state.id);
    if (known === undefined) {
      // What is older than all that was read comes when one scrolls to it.
      const oldest = this.listed.get().rows.at(-1);
      if (this.fits(state) && (!this.more || oldest === undefined || newestFirst(state, oldest) < 0)) void this.arrive(state.id);
      return;
    }
    if (known.version >= state.version) return;
    const left = !this.fits(state);
    if (left !== known.left) this.total += left ? -1 : 1;
    this.rows.set(state.id, { ...known, ...state, left });
    this.draw();
  }

  /** A saga that is new here: what never changes of it is read once. */
  private async arrive(id: string): Promise<void> {
    if (this.asking.has(id)) return;
    this.asking.add(id);
    const { data } = await ask(OneRow, { id });
    this.asking.delete(id);
    const saga = data?.saga;
    if (!saga || this.rows.has(id)) return;
    if (saga.issue) this.titles.set(issueKey(saga), saga.issue.title);
    this.total += 1;
    this.merge(saga);
    this.draw();
  }

  /** Whether the changing part of the filter takes it; the server has seen to the rest. */
  private fits({ status }: { readonly status: SagaStateFragment["status"] }): boolean {
    return this.filter.statuses?.includes(status) ?? true;
  }

  private draw(): void {
    this.drawing ??= setTimeout(() => {
      this.drawing = undefined;
      const rows = [...this.rows.values()].sort(newestFirst);
      const state = this.error !== null ? "failed" : !this.loading ? "shown" : rows.length === 0 ? "loading" : "loading more";
      this.listed.set({ rows, total: this.total, more: this.more, state, error: this.error });
    }, GATHER_MS);
  }
}

async function ask<Data, Variables extends AnyVariables>(document: TypedDocumentNode<Data, Variables>, variables: Variables) {
  return await client.query(document, variables).toPromise();
}

function issueKey(row: { readonly projectPath: string; readonly issueIid: number | null }): string {
  return `${row.projectPath}#${row.issueIid ?? ""}`;
}

function newestFirst(one: { readonly createdAt: string; readonly id: string }, other: { readonly createdAt: string; readonly id: string }): number {
  return one.createdAt === other.createdAt ? (one.id < other.id ? 1 : -1) : one.createdAt < other.createdAt ? 1 : -1;
}
