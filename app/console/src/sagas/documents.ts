import { graphql } from "../gql";

/** What changes while a saga lives: enough for its row, and small enough to be sent with every change. */
export const SagaState = graphql(`
  fragment SagaState on Saga {
    id
    version
    createdAt
    status
    state
    nextStep
    progress { completedSteps totalSteps fraction }
    waitingFor
    waitingSince
    error { code retryable }
    updatedAt
    finishedAt
  }
`);

/** A row of the list: also what never changes. */
export const SagaRow = graphql(`
  fragment SagaRow on Saga {
    ...SagaState
    projectPath
    branch
    issueIid
    definition { name }
    startedBy { username name }
  }
`);

export const SagasPage = graphql(`
  query SagasPage($filter: SagaFilter, $first: Int, $after: String) {
    sagas(filter: $filter, first: $first, after: $after) {
      totalCount
      pageInfo { hasNextPage endCursor }
      edges { node { ...SagaRow } }
    }
  }
`);

/** The titles for a page of rows, which only GitLab knows. */
export const SagaTitles = graphql(`
  query SagaTitles($filter: SagaFilter, $first: Int, $after: String) {
    sagas(filter: $filter, first: $first, after: $after) {
      edges { node { projectPath issueIid issue { title } } }
    }
  }
`);

export const OneRow = graphql(`
  query OneRow($id: ID!) {
    saga(id: $id) { ...SagaRow issue { title } }
  }
`);

export const SagasChanged = graphql(`
  subscription SagasChanged($filter: SagaFilter) {
    sagasUpdated(filter: $filter) { ...SagaState }
  }
`);
