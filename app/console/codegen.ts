import type { CodegenConfig } from "@graphql-codegen/cli";

/** Types of every operation in src, from the service's own schema; made anew by each build, never committed. */
const config: CodegenConfig = {
  schema: "../../schema/schema.graphql",
  documents: ["src/**/*.{ts,tsx}", "!src/gql/**"],
  silent: true,
  generates: {
    "src/gql/": {
      preset: "client",
      // Fragments are plain types here: masking would need a hook at every use of a row.
      presetConfig: { fragmentMasking: false },
      config: {
        scalars: { DateTime: "string", JSON: "unknown" },
        enumsAsTypes: true,
        useTypeImports: true,
        strictScalars: true,
        immutableTypes: true,
      },
    },
  },
};

export default config;
