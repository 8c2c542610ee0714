import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { type Plugin, defineConfig } from "vite";

const OUT = "dist";

/** Beside each text file its compressed twin, which the service sends to browsers that take it. */
const compressed: Plugin = {
  name: "compressed",
  apply: "build",
  async closeBundle() {
    const files = await readdir(join(OUT, "assets"));
    for (const file of files.filter((name) => /\.(js|css)$/.test(name))) {
      const path = join(OUT, "assets", file);
      await writeFile(`${path}.gz`, gzipSync(await readFile(path), { level: 9 }));
    }
  },
};

export default defineConfig({
  // Where the service mounts the build; pages of any depth load it from there.
  base: "/static/console/",
  // Nothing as a data: address, so that the policy of the page need not allow it; the licences ask to go along with the code.
  build: { outDir: OUT, emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, license: { fileName: "licenses.md" } },
  plugins: [compressed],
});
