// A small GraphQL explorer: queries and mutations over HTTP, subscriptions over graphql-transport-ws, the schema by introspection.
const element = (id) => document.getElementById(id);
const [query, variables, answer, state, token, run, stop] =
  ["query", "variables", "answer", "state", "token", "run", "stop"].map(element);

const EXAMPLE = `query Sagas {
  viewer { username name }
  sagas(first: 5) {
    totalCount
    edges { node { id status state nextStep progress { fraction } branch } }
  }
}

subscription Progress($saga: ID!) {
  sagaEvents(sagaId: $saga, afterVersion: 0) { version type toState status occurredAt data }
}
`;
const INTROSPECTION = `{ __schema { types { name kind description
  fields(includeDeprecated: true) { name description args { name } type { ...T } }
  inputFields { name description type { ...T } } enumValues { name description } } } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }`;

let socket = null;

const authorization = () => (token.value.trim() ? { Authorization: `Bearer ${token.value.trim()}` } : {});
const show = (value) => { answer.textContent = JSON.stringify(value, null, 2); };

// The operation that the cursor stands in: several may stand in one document.
function operationAtCursor(text, at) {
  const starts = [...text.matchAll(/^\s*(query|mutation|subscription)\b[ \t]*(\w*)/gm)];
  const chosen = starts.filter((match) => match.index <= at).pop() ?? starts[0];
  return { kind: chosen?.[1] ?? "query", name: chosen?.[2] || null };
}

async function post(request) {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/graphql-response+json, application/json", ...authorization() },
    body: JSON.stringify(request),
  });
  return response.json();
}

function subscribe(request) {
  const lines = [];
  socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/graphql`, "graphql-transport-ws");
  const send = (message) => socket.send(JSON.stringify(message));
  socket.onopen = () => send({ type: "connection_init", payload: authorization() });
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "connection_ack") { state.textContent = "listening"; send({ id: "1", type: "subscribe", payload: request }); }
    else if (message.type === "ping") send({ type: "pong" });
    else if (message.type === "next") { lines.push(message.payload.data ?? message.payload); show(lines); answer.scrollTop = answer.scrollHeight; }
    else if (message.type === "error") { show([...lines, { errors: message.payload }]); end("refused"); }
    else if (message.type === "complete") end("complete");
  };
  socket.onclose = ({ code, reason }) => end(`closed ${code} ${reason}`.trim());
}

function end(text) {
  if (!socket) return;
  socket.onclose = null;
  socket.close(1000);
  socket = null;
  state.textContent = text;
  stop.disabled = true;
}

async function execute() {
  end("");
  const { kind, name } = operationAtCursor(query.value, query.selectionStart);
  try {
    const request = { query: query.value, variables: JSON.parse(variables.value || "{}"), operationName: name };
    localStorage.setItem("explorer.query", query.value);
    if (kind === "subscription") { show([]); stop.disabled = false; subscribe(request); return; }
    state.textContent = "running";
    show(await post(request));
    state.textContent = "";
  } catch (error) {
    state.textContent = String(error);
  }
}

function typeText(type) {
  if (type.kind === "NON_NULL") return `${typeText(type.ofType)}!`;
  if (type.kind === "LIST") return `[${typeText(type.ofType)}]`;
  return type.name;
}

function entry(type) {
  const box = document.createElement("details");
  const title = document.createElement("summary");
  title.textContent = type.name;
  const list = document.createElement("dl");
  for (const field of [...(type.fields ?? []), ...(type.inputFields ?? []), ...(type.enumValues ?? [])]) {
    const name = document.createElement("dt");
    const args = field.args?.length ? `(${field.args.map((arg) => arg.name).join(", ")})` : "";
    name.textContent = field.name + args + (field.type ? `: ${typeText(field.type)}` : "");
    const text = document.createElement("dd");
    text.textContent = field.description ?? "";
    list.append(name, text);
  }
  const about = document.createElement("p");
  about.textContent = type.description ?? "";
  box.append(title, about, list);
  return box;
}

async function documentSchema() {
  const { data } = await post({ query: INTROSPECTION });
  const roots = ["Query", "Mutation", "Subscription"];
  const rank = (type) => (roots.includes(type.name) ? roots.indexOf(type.name) : roots.length);
  const types = data.__schema.types.filter((type) => !type.name.startsWith("__"))
    .sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
  const search = element("search");
  const draw = () => {
    const wanted = search.value.toLowerCase();
    const fits = (type) => [type, ...(type.fields ?? []), ...(type.inputFields ?? [])].some((one) => one.name.toLowerCase().includes(wanted));
    element("types").replaceChildren(...types.filter(fits).map(entry));
  };
  search.addEventListener("input", draw);
  draw();
}

query.value = localStorage.getItem("explorer.query") ?? EXAMPLE;
run.addEventListener("click", execute);
stop.addEventListener("click", () => end("stopped"));
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); execute(); }
});
documentSchema().catch((error) => { state.textContent = String(error); });
