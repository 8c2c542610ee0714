// graphql-eslint's rules for schemas, over schema/schema.graphql.
import graphql from "@graphql-eslint/eslint-plugin";

const PARTS = [
  "Calculation",
  "Commit",
  "PageInfo",
  "PendingInput",
  "RateLimit",
  "SagaDefinition",
  "SagaProgress",
  "SagaStep",
  "SagaTransition",
  "UndoItem",
];

export default [
  {
    files: ["**/*.graphql"],
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig: { schema: "schema/schema.graphql" } },
    },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...graphql.configs["flat/schema-recommended"].rules,
      ...graphql.configs["flat/schema-relay"].rules,
      // GitLab's issues page forwards only, and short lists that never grow are lists.
      "@graphql-eslint/relay-arguments": ["error", { includeBoth: false }],
      "@graphql-eslint/relay-edge-types": ["error", { listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false }],
      "@graphql-eslint/require-deprecation-reason": "error",
      "@graphql-eslint/require-description": [
        "error",
        { types: true, rootField: true, FieldDefinition: true, InputValueDefinition: true, EnumValueDefinition: true },
      ],
      // GitLab's word is `username`.
      "@graphql-eslint/no-typename-prefix": "off",
      // What is a part of something else, or what it amounts to, has no identity of its own.
      "@graphql-eslint/strict-id-in-types": [
        "error",
        { exceptions: { types: PARTS, suffixes: ["Payload", "Connection", "Edge", "Error"] } },
      ],
    },
  },
];
