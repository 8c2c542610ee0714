import { graphql } from "../gql";

export const SagaOfIssue = graphql(`
  fragment SagaOfIssue on Saga {
    ...SagaState
    projectPath
    issueIid
    definition { name }
  }
`);

export const IssueSagasChanged = graphql(`
  subscription IssueSagasChanged {
    sagasUpdated { ...SagaOfIssue }
  }
`);

export const IssuesPage = graphql(`
  query IssuesPage($state: IssueState, $search: String, $after: String) {
    issues(state: $state, search: $search, first: 50, after: $after) {
      pageInfo { hasNextPage endCursor }
      edges {
        node {
          id iid title state projectPath labels dueDate webUrl branch
          sagas(first: 5) { edges { node { ...SagaOfIssue } } }
        }
      }
    }
  }
`);

export const Start = graphql(`
  mutation Start($input: StartBalanceCalculationInput!) {
    startBalanceCalculation(input: $input) { created saga { id } userErrors { code field message } }
  }
`);
