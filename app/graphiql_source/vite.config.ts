import { defineConfig } from "vite";

export default defineConfig({
  // Where the service mounts the build; relative addresses would be sought beside /graphql.
  base: "/static/dist/",
  // The editor, Monaco, is one chunk of some megabytes; the licences ask to go along with the code.
  build: { outDir: "../graphiql/dist", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 8000, license: { fileName: "licenses.md" } },
});
