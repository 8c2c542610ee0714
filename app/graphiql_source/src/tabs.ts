import advance from "./operations/advance.graphql?raw";
import advanceVariables from "./operations/advance.json?raw";
import look from "./operations/look.graphql?raw";
import merge from "./operations/merge.graphql?raw";
import mergeVariables from "./operations/merge.json?raw";
import start from "./operations/start.graphql?raw";
import startVariables from "./operations/start.json?raw";
import watch from "./operations/watch.graphql?raw";
import watchVariables from "./operations/watch.json?raw";

/** What a first visit finds: a Balance calculation from the issue to the merge request, in the order of the work. */
export const defaultTabs = [
  { query: look },
  { query: start, variables: startVariables },
  { query: watch, variables: watchVariables },
  { query: advance, variables: advanceVariables },
  { query: merge, variables: mergeVariables },
];
