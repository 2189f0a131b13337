"use strict";

// A user's own view of the tunnel. The token is in sessionStorage and in the Authorization field, never in a URL; what
// comes from the gateway is only ever shown as text.

const find = (id) => document.getElementById(id);
const tokenKey = "tunnel.token";
const refreshEvery = 5000;

let token = sessionStorage.getItem(tokenKey);
let agents = [];
let running = null;
let timer = 0;

// ---- The gateway ----------------------------------------------------------------------------------------------------

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = { ...headers, Authorization: `Bearer ${token}` };
  if (body !== undefined) sent["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method, headers: sent, signal, cache: "no-store", credentials: "omit",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (answer.ok) return answer;
  let message = `The gateway answered ${answer.status}.`;
  try {
    const { error } = await answer.json();
    message = error.message ?? error;
  } catch { /* Not an error of the gateway's own. */ }
  throw new Refusal(answer.status, message);
}

const read = async (path, options) => (await ask(path, options)).json();

function show(element, isShown = true) { element.hidden = !isShown; }

function tell(message) {
  find("notice").textContent = message ?? "";
  show(find("notice"), Boolean(message));
}

/** Runs what a person asked for, and shows why it failed. */
async function attempt(work) {
  try {
    tell(null);
    return await work();
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) signOut(error.message);
    else tell(error instanceof Refusal ? error.message : "The gateway cannot be reached.");
    return undefined;
  }
}

// ---- Signing in -----------------------------------------------------------------------------------------------------

async function signIn() {
  show(find("sign-in"), !token);
  show(find("signed-in"), Boolean(token));
  show(find("sign-out"), Boolean(token));
  if (!token) return find("token").focus();
  await attempt(async () => { await Promise.all([refresh(), listEnrolments()]); });
  if (token) listModels();
}

function signOut(reason) {
  running?.abort();
  sessionStorage.removeItem(tokenKey);
  token = null;
  agents = [];
  for (const id of ["agents", "enrolments", "models"]) find(id).replaceChildren();
  hideCredential();
  show(find("answer"), false);
  show(find("bridge"), false);
  clearTimeout(timer);
  signIn();
  tell(reason);
}

find("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  token = find("token").value.trim().replace(/^Bearer\s+/i, "");
  find("token").value = "";
  sessionStorage.setItem(tokenKey, token);
  signIn();
});

find("sign-out").addEventListener("click", () => signOut());

// ---- Agents ---------------------------------------------------------------------------------------------------------

async function refresh() {
  clearTimeout(timer);
  try {
    const answer = await read("/api/tunnel/agents");
    agents = Array.isArray(answer) ? answer : answer.agents;
    showAgents();
  } finally {
    if (token) timer = setTimeout(again, refreshEvery);
  }
}

function again() {
  if (document.hidden) timer = setTimeout(again, refreshEvery);
  else attempt(refresh);
}

function showAgents() {
  const [kind, text] = agents.some((agent) => agent.connected && !agent.reconnecting) ? ["good", "Connected"]
    : agents.some((agent) => agent.reconnecting) ? ["warn", "Reconnecting"] : ["bad", "Not connected"];
  const bridge = find("bridge");
  bridge.className = `pill ${kind}`;
  if (bridge.textContent !== text) bridge.textContent = text;
  show(bridge);
  show(find("no-agents"), agents.length === 0);
  const focused = document.activeElement?.dataset?.agent;
  find("agents").replaceChildren(...agents.map(agentCard));
  if (focused) find("agents").querySelector(`[data-agent="${CSS.escape(focused)}"]`)?.focus();
  showChoices();
}

function agentCard(agent) {
  const card = find("agent-card").content.cloneNode(true);
  card.querySelector("h3").textContent = agent.name;
  const pill = card.querySelector(".pill");
  pill.textContent = agent.reconnecting ? "Reconnecting" : agent.connected ? "Connected" : "Away";
  if (agent.connected) pill.classList.add(agent.reconnecting ? "warn" : "good");
  card.querySelector(".hint").textContent = agent.connected
    ? [agent.software, offers(agent.offers)].filter(Boolean).join(" · ")
    : "It has a credential, and is not running, or cannot reach the gateway.";
  show(card.querySelector("dl"), agent.connected);
  const since = moment(agent.since);
  fill(card.querySelector("dl"), [
    ["Connected since", since ? since.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }) : "–"],
    ["Round trip", agent.roundTripMs > 0 ? `${round(agent.roundTripMs)} ms` : "–"],
    ["Requests", (agent.requests ?? 0).toLocaleString()],
    ["Traffic", `↓\u00a0${bytes(agent.bytesFromAgent)} ↑\u00a0${bytes(agent.bytesToAgent)}`],
  ]);
  const button = card.querySelector("button");
  button.dataset.agent = agent.name;
  button.textContent = agent.default ? "Default agent" : "Make default";
  button.disabled = Boolean(agent.default);
  button.setAttribute("aria-label", `${button.textContent}: ${agent.name}`);
  button.addEventListener("click", () => attempt(async () => {
    await ask("/api/tunnel/agents/default", { method: "PUT", body: { name: agent.name } });
    await refresh();
  }));
  return card;
}

function offers({ http, ports } = {}) {
  return [http && "requests", ports?.length && `ports ${ports.join(", ")}`].filter(Boolean).join(", ");
}

function fill(list, pairs) {
  list.replaceChildren(...pairs.map(([term, text]) => {
    const group = document.createElement("div");
    group.append(Object.assign(document.createElement("dt"), { textContent: term }),
      Object.assign(document.createElement("dd"), { textContent: text }));
    return group;
  }));
}

/** ISO text, or seconds since 1970. */
function moment(value) {
  const date = new Date(typeof value === "number" ? value * 1000 : value ?? NaN);
  return Number.isNaN(date.getTime()) ? null : date;
}

const round = (number) => (number < 10 ? number.toFixed(1) : Math.round(number).toLocaleString());

function bytes(count = 0) {
  let place = 0;
  while (count >= 1000 && place < 4) {
    count /= 1000;
    place += 1;
  }
  return `${place ? count.toFixed(count < 10 ? 1 : 0) : count}\u00a0${["B", "kB", "MB", "GB", "TB"][place]}`;
}

// ---- Credentials ----------------------------------------------------------------------------------------------------

async function listEnrolments() {
  const answer = await read("/api/tunnel/enrolments");
  const enrolments = Array.isArray(answer) ? answer : answer.enrolments;
  show(find("no-enrolments"), enrolments.length === 0);
  find("enrolments").replaceChildren(...enrolments.map(enrolmentLine));
}

function enrolmentLine(enrolment) {
  const line = find("enrolment-line").content.cloneNode(true);
  line.querySelector("strong").textContent = enrolment.name;
  const created = moment(enrolment.createdAt);
  line.querySelector(".hint").textContent = created ? `since ${created.toLocaleDateString([], { dateStyle: "medium" })}` : "";
  const button = line.querySelector("button");
  button.setAttribute("aria-label", `Revoke the credential of ${enrolment.name}`);
  button.addEventListener("click", () => revoke(enrolment));
  return line;
}

function revoke(enrolment) {
  find("revoke-title").textContent = `Revoke the credential of ${enrolment.name}?`;
  // Set, not added: the dialog asks about one credential at a time. And it is the button that answers, not the dialog's
  // "close", which comes later and may find the dialog open again for another credential.
  find("revoke-form").onsubmit = (event) => {
    if (event.submitter?.value !== "revoke") return;
    attempt(async () => {
      await ask(`/api/tunnel/enrolments/${encodeURIComponent(enrolment.id)}`, { method: "DELETE" });
      await Promise.all([listEnrolments(), refresh()]);
    });
  };
  find("revoke").showModal();
}

find("enrol-form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const made = await read("/api/tunnel/enrolments", { method: "POST", body: { name: find("name").value.trim() } });
    find("name").value = "";
    showCredential(made);
    await listEnrolments();
  });
});

function showCredential(made) {
  const file = `${made.name}.token`;
  const url = location.origin.replace(/^http/, "ws");
  find("credential-title").textContent = `Credential of ${made.name}`;
  find("credential").textContent = made.credential;
  find("save-command").textContent = `(umask 077; cat > ${file})   # paste it, Enter, Ctrl-D`;
  find("run-command").textContent =
    `gateway agent --url ${url} --name ${made.name} --local http://127.0.0.1:11434 --token-file ${file}`;
  show(find("credential-panel"));
  find("credential-panel").focus();
}

function hideCredential() {
  find("credential").textContent = "";
  show(find("credential-panel"), false);
}

find("credential-done").addEventListener("click", () => {
  hideCredential();
  find("name").focus();
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = find(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    } catch {
      // Without TLS a page may not write the clipboard: the text is selected for the keyboard.
      getSelection().selectAllChildren(source);
    }
  });
}

// ---- Try it ---------------------------------------------------------------------------------------------------------

function showChoices() {
  const select = find("try-agent");
  const wanted = select.value;
  const choices = [["", "Default agent"], ...agents.filter((agent) => agent.offers?.http).map(({ name }) => [name, name])];
  if (JSON.stringify(choices) === select.dataset.choices) return;
  select.dataset.choices = JSON.stringify(choices);
  select.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
  if (choices.some(([value]) => value === wanted)) select.value = wanted;
}

const chosenAgent = () => (find("try-agent").value ? { "X-Tunnel-Agent": find("try-agent").value } : {});

/** Suggestions only: without them a model's name can still be written. */
async function listModels() {
  try {
    const { models } = await read("/ollama/api/tags", { headers: chosenAgent() });
    find("models").replaceChildren(...models.map(({ name }) => new Option(name, name)));
    if (!find("model").value && models.length) find("model").value = models[0].name;
  } catch {
    find("models").replaceChildren();
  }
}

find("try-agent").addEventListener("change", listModels);
find("model").addEventListener("focus", () => { if (!find("models").childElementCount) listModels(); });
find("try-stop").addEventListener("click", () => running?.abort());

find("try-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  const answer = find("answer");
  answer.textContent = "";
  answer.classList.remove("bad");
  show(answer);
  show(find("try-stop"));
  find("try-send").disabled = true;
  const began = performance.now();
  const said = (text) => { find("try-figures").textContent = text; };
  said("Waiting for the model…");
  try {
    await generate(answer, (pieces, first) =>
      said(`First words after ${Math.round(first - began)} ms, ${pieces} pieces in ${
        ((performance.now() - began) / 1000).toFixed(1)} s`));
  } catch (error) {
    if (error.name === "AbortError") said("Stopped.");
    else {
      said("");
      answer.classList.add("bad");
      answer.append(answer.textContent ? "\n" : "", error instanceof Refusal ? error.message : "The answer broke off.");
    }
  } finally {
    running = null;
    show(find("try-stop"), false);
    find("try-send").disabled = false;
  }
});

/** Reads the model's lines as they arrive. */
async function generate(answer, progress) {
  const response = await ask("/ollama/api/generate", {
    method: "POST", signal: running.signal, headers: chosenAgent(),
    body: { model: find("model").value.trim(), prompt: find("prompt").value, stream: true },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let pieces = 0;
  let first = 0;
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    const lines = rest.split("\n");
    rest = done ? "" : lines.pop();
    for (const line of lines) {
      if (!line.trim()) continue;
      const { response: text, error } = JSON.parse(line);
      if (error) throw new Refusal(0, error.message ?? error);
      first ||= performance.now();
      pieces += text ? 1 : 0;
      answer.append(text ?? "");
    }
    if (pieces) progress(pieces, first);
    if (done) return;
  }
}

signIn();
