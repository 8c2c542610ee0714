// The console's page: what /readyz says, asked again every five seconds.
const status = document.getElementById("status");
const dependencies = document.getElementById("dependencies");

function row(name, answer) {
  const line = document.createElement("tr");
  const title = document.createElement("th");
  title.scope = "row";
  title.textContent = name;
  const state = document.createElement("td");
  state.textContent = answer.ok ? "works" : answer.error;
  state.className = answer.ok ? "good" : "bad";
  line.append(title, state);
  return line;
}

async function ask() {
  try {
    const report = await (await fetch("/readyz")).json();
    status.textContent = report.status;
    status.className = report.status === "ready" ? "good" : "bad";
    dependencies.replaceChildren(...Object.entries(report.dependencies).map(([name, answer]) => row(name, answer)));
  } catch {
    status.textContent = "no answer";
    status.className = "bad";
    dependencies.replaceChildren();
  }
}

ask();
setInterval(ask, 5000);
