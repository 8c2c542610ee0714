// Lints the schema as graphql-eslint does; tells how many rules were applied, then each finding.
import { ESLint } from "eslint";

import config from "./eslint.config.mjs";
import { given, tell } from "./tell.mjs";

process.chdir(given.root);
const eslint = new ESLint({ cwd: given.root, overrideConfigFile: true, overrideConfig: config });
const [result] = await eslint.lintFiles([given.schema]);
tell({ rules: Object.keys(config[0].rules) });
for (const { ruleId, line, message } of result.messages) tell({ rule: ruleId, line, message });
