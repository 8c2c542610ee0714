import { graphql } from "../gql";

/** Everything that the saga itself tells; each change sends it anew. */
export const SagaLive = graphql(`
  fragment SagaLive on Saga {
    ...SagaState
    nextAttemptAt
    deadlineAt
    availableActions
    retrySteps
    error { message occurredAt }
    steps {
      name kind status visit calculation attempts startedAt finishedAt
      commit { sha webUrl message }
      error { code message retryable }
    }
    tasks {
      id correlationId status outputFile error createdAt publishedAt finishedAt result
      calculation { name }
    }
    pendingInput { step file draft expectedVersion }
  }
`);

/** What never changes, and what only GitLab knows. */
export const OneSaga = graphql(`
  query OneSaga($id: ID!) {
    saga(id: $id) {
      ...SagaLive
      projectPath
      branch
      createdAt
      issueIid
      startedBy { username name }
      definition {
        name
        title
        states
        transitions { fromState toState trigger }
      }
    }
    calculations { name title inputFile outputFile inputSchema }
  }
`);

/** GitLab's part: it comes when it comes. */
export const SagaInGitLab = graphql(`
  query SagaInGitLab($id: ID!) {
    saga(id: $id) {
      issue { iid title webUrl }
      mergeRequest { iid title webUrl state }
    }
  }
`);

export const SagaMoved = graphql(`
  subscription SagaMoved($id: ID!) {
    sagaUpdated(sagaId: $id) { ...SagaLive }
  }
`);

export const Journal = graphql(`
  subscription Journal($id: ID!, $afterVersion: Int) {
    sagaEvents(sagaId: $id, afterVersion: $afterVersion) {
      version type fromState toState status actor occurredAt data
    }
  }
`);

export const Advance = graphql(`
  mutation Advance($input: AdvanceSagaInput!) {
    advanceSaga(input: $input) { created saga { id version } userErrors { code field message } }
  }
`);

export const Retry = graphql(`
  mutation Retry($input: RetrySagaInput!) {
    retrySaga(input: $input) { created saga { id } userErrors { code field message } }
  }
`);

export const Pause = graphql(`
  mutation Pause($input: SagaActionInput!) {
    pauseSaga(input: $input) { created saga { id } userErrors { code field message } }
  }
`);

export const Resume = graphql(`
  mutation Resume($input: SagaActionInput!) {
    resumeSaga(input: $input) { created saga { id } userErrors { code field message } }
  }
`);

export const Cancel = graphql(`
  mutation Cancel($input: CancelSagaInput!) {
    cancelSaga(input: $input) { created saga { id } userErrors { code field message } }
  }
`);

export const OpenMergeRequest = graphql(`
  mutation OpenMergeRequest($input: CreateMergeRequestInput!) {
    createMergeRequest(input: $input) {
      created
      mergeRequest { iid title webUrl state }
      userErrors { code field message }
    }
  }
`);
