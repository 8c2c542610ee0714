import type { CombinedError } from "urql";

import { client } from "../api/client";
import { connection } from "../api/connection";
import { type Store, store } from "../api/store";
import type { IssueState, IssuesPageQuery, SagaStateFragment } from "../gql/graphql";
import { SagasChanged } from "../sagas/documents";
import { IssuesPage } from "./documents";

export type Issue = NonNullable<IssuesPageQuery["issues"]>["edges"][number]["node"];

export interface Asked {
  readonly state: IssueState;
  readonly search: string;
}

export interface Listed {
  readonly issues: readonly Issue[];
  readonly more: boolean;
  readonly state: "loading" | "shown" | "failed";
  readonly error: CombinedError | null;
}

/** A new saga is worth reading the issues again, but not for each of a hundred. */
const GATHER_MS = 300;

/** My issues as GitLab has them, with their sagas as they are now. */
export class LiveIssues {
  readonly listed: Store<Listed> = store<Listed>({ issues: [], more: false, state: "loading", error: null });
  private readonly ends: (() => void)[] = [];
  private cursor: string | null = null;
  private soon: ReturnType<typeof setTimeout> | undefined;
  /** Answers come in any order; only that to the newest question counts. */
  private question = 0;

  constructor(private readonly asked: Asked) {}

  open(): void {
    const changes = client.subscription(SagasChanged, { filter: null }).subscribe(({ data }) => data && this.changed(data.sagasUpdated));
    let epoch = connection.get().epoch;
    const again = connection.subscribe(() => {
      if (connection.get().epoch === epoch) return;
      epoch = connection.get().epoch;
      void this.read();
    });
    this.ends.push(changes.unsubscribe, again, () => clearTimeout(this.soon), () => (this.question += 1));
    void this.read();
  }

  close(): void {
    for (const end of this.ends.splice(0)) end();
  }

  async read(): Promise<void> {
    await this.page(null);
  }

  async more(): Promise<void> {
    await this.page(this.cursor);
  }

  private async page(after: string | null): Promise<void> {
    const question = (this.question += 1);
    const { state, search } = this.asked;
    const { data, error } = await client.query(IssuesPage, { state, search: search.trim() === "" ? null : search.trim(), after }).toPromise();
    if (question !== this.question) return;
    const page = data?.issues;
    if (!page) {
      this.listed.set({ ...this.listed.get(), state: "failed", error: error ?? null });
      return;
    }
    this.cursor = page.pageInfo.endCursor;
    const fresh = page.edges.map(({ node }) => node);
    const before = after === null ? [] : this.listed.get().issues;
    this.listed.set({ issues: [...before, ...fresh], more: page.pageInfo.hasNextPage, state: "shown", error: null });
  }

  private changed(state: SagaStateFragment): void {
    const { issues } = this.listed.get();
    const known = issues.some(({ sagas }) => sagas.edges.some(({ node }) => node.id === state.id));
    if (!known) {
      clearTimeout(this.soon);
      this.soon = setTimeout(() => void this.read(), GATHER_MS);
      return;
    }
    const moved = issues.map((issue) => ({
      ...issue,
      sagas: { edges: issue.sagas.edges.map(({ node }) => ({ node: node.id === state.id && node.version < state.version ? { ...node, ...state } : node })) },
    }));
    this.listed.set({ ...this.listed.get(), issues: moved });
  }
}
