import type { CombinedError } from "urql";

import { client } from "../api/client";
import { connection } from "../api/connection";
import { type Store, store } from "../api/store";
import type { IssueState, IssuesPageQuery, SagaOfIssueFragment } from "../gql/graphql";
import { IssueSagasChanged, IssuesPage } from "./documents";

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

/** My issues as GitLab has them, with their sagas as they are now. */
export class LiveIssues {
  readonly listed: Store<Listed> = store<Listed>({ issues: [], more: false, state: "loading", error: null });
  private readonly ends: (() => void)[] = [];
  private cursor: string | null = null;
  /** Answers come in any order; only that to the newest question counts. */
  private question = 0;

  constructor(private readonly asked: Asked) {}

  open(): void {
    const changes = client.subscription(IssueSagasChanged, {}).subscribe(({ data, error }) => (data ? this.changed(data.sagasUpdated) : error && void this.read()));
    let epoch = connection.get().epoch;
    const again = connection.subscribe(() => {
      if (connection.get().epoch === epoch) return;
      epoch = connection.get().epoch;
      void this.read();
    });
    this.ends.push(changes.unsubscribe, again, () => (this.question += 1));
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

  /** Of a saga of one of these issues, its newest state; one that is new comes first. */
  private changed(state: SagaOfIssueFragment): void {
    const issues = this.listed.get().issues.map((issue) => {
      if (issue.projectPath !== state.projectPath || issue.iid !== state.issueIid) return issue;
      const sagas = issue.sagas.edges.map(({ node }) => node);
      const known = sagas.some(({ id }) => id === state.id);
      const now = known ? sagas.map((saga) => (saga.id === state.id && saga.version < state.version ? state : saga)) : [state, ...sagas];
      return { ...issue, sagas: { edges: now.map((node) => ({ node })) } };
    });
    this.listed.set({ ...this.listed.get(), issues });
  }
}
