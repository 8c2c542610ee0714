// Plays the page of docs/frontend.md: shows what it is given, and at first fills the form in wrongly.
import WebSocket from "ws";

import { connect } from "./client.js";
import { ApiError } from "./errors.js";
import { follow } from "./follow.js";
import { documentOf, type Field } from "./form.js";
import { balance, type Page } from "./job.js";

interface Given {
  address: string;
  token: string;
  project: string;
  branch: string;
  unknown: string;
}

const given = JSON.parse(process.argv[2] ?? "") as Given;
const api = connect(given.address, () => given.token, WebSocket);
let drawn: Field[] = [];

function tell(what: unknown): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

const page: Page = {
  show: (shown) => tell({ shown }),
  fill: async (title, fields, wrong) => {
    tell({ title, fields, wrong });
    if (wrong.length) return drawn;
    const badly = drawn.length === 0;
    drawn = fields;
    const target = fields.find((field) => field.path.length > 1);
    tell({ document: documentOf(fields) });
    return badly ? fields.map((field) => (field === target ? { ...field, value: "plenty" } : field)) : fields;
  },
};

tell({ status: await balance(api, given.project, given.branch, page) });
try {
  for await (const event of follow(api, given.unknown)) tell(event);
} catch (refused) {
  tell(refused instanceof ApiError ? { code: refused.code, remedy: refused.remedy } : { strange: String(refused) });
}
await api.sockets.dispose();
