import type { CombinedError } from "urql";

import { client, type Resume } from "../api/client";
import { connection } from "../api/connection";
import { type Store, store } from "../api/store";
import type { JournalSubscription, OneSagaQuery, SagaInGitLabQuery, SagaLiveFragment } from "../gql/graphql";
import { language } from "../i18n/language";
import { Journal, OneSaga, SagaInGitLab, SagaMoved } from "./documents";

export type Saga = NonNullable<OneSagaQuery["saga"]>;
export type Step = Saga["steps"][number];
export type Task = Saga["tasks"][number];
export type Calculation = OneSagaQuery["calculations"][number];
export type Event = JournalSubscription["sagaEvents"];
export type InGitLab = NonNullable<SagaInGitLabQuery["saga"]>;

export interface Shown {
  readonly saga: Saga | null;
  readonly calculations: readonly Calculation[];
  /** Oldest first, one for each version. */
  readonly events: readonly Event[];
  readonly gitlab: InGitLab | null;
  readonly state: "loading" | "shown" | "missing" | "failed";
  readonly error: CombinedError | null;
}

/** One saga: its state by version, and its journal without a gap, also across a lost connection. */
export class LiveSaga {
  readonly shown: Store<Shown> = store<Shown>({ saga: null, calculations: [], events: [], gitlab: null, state: "loading", error: null });
  private readonly ends: (() => void)[] = [];
  private following: (() => void)[] = [];

  constructor(private readonly id: string) {}

  open(): void {
    let epoch = connection.get().epoch;
    const again = connection.subscribe(() => {
      if (connection.get().epoch === epoch) return;
      epoch = connection.get().epoch;
      void this.read();
    });
    this.ends.push(again, language.subscribe(() => void this.read()), () => this.unfollow());
    this.follow();
    void this.read();
  }

  close(): void {
    for (const end of this.ends.splice(0)) end();
  }

  /** The saga as it is now (or that it may not be seen any more), and what GitLab says about it. */
  async read(): Promise<void> {
    const { data, error } = await client.query(OneSaga, { id: this.id }).toPromise();
    if (!data) {
      const missing = error?.graphQLErrors.some(({ extensions }) => extensions["code"] === "NOT_FOUND") ?? false;
      this.show({ state: missing ? "missing" : "failed", error: error ?? null });
      return;
    }
    if (data.saga === null) {
      this.show({ state: "missing", error: null });
      return;
    }
    const known = this.shown.get().saga;
    const saga = known !== null && known.version > data.saga.version ? { ...data.saga, ...alive(known) } : data.saga;
    this.show({ saga, calculations: data.calculations, state: "shown", error: null });
    void this.readGitLab();
  }

  async readGitLab(): Promise<void> {
    const { data } = await client.query(SagaInGitLab, { id: this.id }).toPromise();
    if (data?.saga) this.show({ gitlab: data.saga });
  }

  /** A finished saga's subscriptions have ended; after a change by this page it may live again. */
  follow(): void {
    this.unfollow();
    const { id } = this;
    const resume: Resume = () => ({ afterVersion: this.seen });
    this.following = [
      client.subscription(SagaMoved, { id }).subscribe(({ data, error }) => (data ? this.moved(data.sagaUpdated) : error && void this.read())).unsubscribe,
      client.subscription(Journal, { id, afterVersion: this.seen }, { resume }).subscribe(({ data }) => data && this.happened(data.sagaEvents)).unsubscribe,
    ];
  }

  private unfollow(): void {
    for (const end of this.following.splice(0)) end();
  }

  private get seen(): number {
    return this.shown.get().events.at(-1)?.version ?? 0;
  }

  private moved(state: SagaLiveFragment): void {
    const { saga } = this.shown.get();
    if (saga === null || saga.version >= state.version) return;
    this.show({ saga: { ...saga, ...state } });
    if (state.status === "COMPLETED" && saga.status !== "COMPLETED") void this.readGitLab();
  }

  private happened(event: Event): void {
    if (event.version > this.seen) this.show({ events: [...this.shown.get().events, event] });
  }

  private show(change: Partial<Shown>): void {
    this.shown.set({ ...this.shown.get(), ...change });
  }
}

/** The changing part of a saga alone. */
function alive(saga: Saga): Partial<SagaLiveFragment> {
  const { projectPath: _path, branch: _branch, issueIid: _iid, startedBy: _starter, definition: _definition, ...rest } = saga;
  return rest;
}
