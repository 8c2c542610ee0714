import type { SagaFilter, SagaStatus } from "../gql/graphql";

export const STATUSES: readonly SagaStatus[] = ["AWAITING_INPUT", "RUNNING", "AWAITING_RESULT", "FAILED", "PAUSED", "CANCELLING", "COMPLETED", "CANCELLED"];

/** What the address bar says about the list; a link to it shows everybody the same selection. */
export interface Filters {
  readonly search: string;
  readonly statuses: readonly SagaStatus[];
  readonly project: string;
  readonly definition: string;
  readonly mine: boolean;
}

export function read(params: URLSearchParams): Filters {
  const asked = (params.get("status") ?? "").split(",");
  return {
    search: params.get("q") ?? "",
    statuses: STATUSES.filter((status) => asked.includes(status)),
    project: params.get("project") ?? "",
    definition: params.get("kind") ?? "",
    mine: params.get("mine") === "1",
  };
}

export function written({ search, statuses, project, definition, mine }: Filters): URLSearchParams {
  const params = new URLSearchParams();
  if (search !== "") params.set("q", search);
  if (statuses.length > 0) params.set("status", statuses.join(","));
  if (project !== "") params.set("project", project);
  if (definition !== "") params.set("kind", definition);
  if (mine) params.set("mine", "1");
  return params;
}

/** The same for the API. */
export function asked({ search, statuses, project, definition, mine }: Filters): SagaFilter {
  return {
    search: search.trim() === "" ? null : search.trim(),
    statuses: statuses.length === 0 ? null : statuses,
    projectPath: project === "" ? null : project,
    definition: definition === "" ? null : definition,
    mine: mine ? true : null,
  };
}
