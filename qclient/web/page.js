// The page: asks for JSON again and again, and draws it. What comes from messages is only ever set as
// text, never as HTML.
"use strict";

const AGAIN_MS = 2000;
const KEPT = 60; // points of a curve: two minutes
const STATES = ["ready", "leased", "delayed", "dead", "done"];
const RATES = { put: "put/s", got: "got/s", done: "done/s", failed: "failed/s", lost: "lost/s", dead: "dead/s" };
const curves = Object.fromEntries(Object.keys(RATES).map((name) => [name, []]));
const view = document.getElementById("view");
const trouble = document.getElementById("trouble");
let timer = 0;
let drawn = 0; // which place was drawn last: an answer that comes late is not drawn over it

// --- words ---------------------------------------------------------------------------------------

const whole = new Intl.NumberFormat("en");
const count = (n) => whole.format(n);

function rate(n) {
  if (n === null || n === undefined) return "–";
  return Math.abs(n) >= 100 ? count(Math.round(n)) : String(Math.round(n * 10) / 10);
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const steps = [["d", 86400], ["h", 3600], ["min", 60]];
  for (const [at, [unit, size]] of steps.entries()) {
    if (seconds >= size) {
      const [below, part] = steps[at + 1] ?? ["s", 1];
      return `${Math.floor(seconds / size)} ${unit} ${Math.floor((seconds % size) / part)} ${below}`;
    }
  }
  return seconds < 10 ? `${Math.round(seconds * 10) / 10} s` : `${Math.floor(seconds)} s`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (bytes >= 1024 && at < units.length - 1) { bytes /= 1024; at += 1; }
  return `${at ? bytes.toFixed(1) : bytes} ${units[at]}`;
}

// --- elements ------------------------------------------------------------------------------------

function make(tag, content, attributes = {}) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  for (const part of [content].flat()) element.append(part instanceof Node ? part : String(part));
  return element;
}

const number = (value, text, kind = "") =>
  make("td", text ?? count(value), { class: `number ${value ? kind : "zero"}` });

function table(heads, rows, nothing) {
  if (!rows.length) return make("p", nothing, { class: "quiet" });
  const head = heads.map(([title, kind]) => make("th", title, { class: kind ?? "", scope: "col" }));
  const body = rows.map((cells) => make("tr", cells));
  return make("div", make("table", [make("thead", make("tr", head)), make("tbody", body)]), { class: "wide" });
}

function curve(points) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${KEPT - 1} 20`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const top = Math.max(1, ...points);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const left = KEPT - points.length;
  line.setAttribute("points", points.map((y, x) => `${left + x},${19 - (18 * y) / top}`).join(" "));
  svg.append(line);
  return svg;
}

function card(title, value, kind = "", below = []) {
  return make("div", [title, make("b", value, { class: kind }), ...below], { class: "card quiet" });
}

const link = (place, text) => make("a", text, { href: place });
const toQueue = (name) => `#queue/${encodeURIComponent(name)}`;

// --- places --------------------------------------------------------------------------------------

function drawOverview(seen) {
  const { figures, rates } = seen;
  document.getElementById("about").textContent =
    `${seen.server} · sync=${figures.sync} · ${figures.build} · up ${span(figures.uptime_s)}`;
  const cards = STATES.map((state) =>
    card(state, count(figures[state]), state === "dead" && figures.dead ? "bad" : ""));
  for (const [name, title] of Object.entries(RATES)) {
    const now = rates[`${name}_per_s`];
    if (now !== undefined) {
      curves[name].push(now);
      curves[name].splice(0, curves[name].length - KEPT);
    }
    const isBad = ["failed", "lost", "dead"].includes(name) && now > 0;
    cards.push(card(title, rate(now), isBad ? "warn" : "", [curve(curves[name])]));
  }
  cards.push(card("journal", size(figures.journal_bytes ?? 0)));
  cards.push(card("longest turn", `${rate(figures.turn_ms_max)} ms`, figures.turn_ms_max > 50 ? "warn" : ""));
  const warnings = [];
  if (figures.storage_error) warnings.push(`The journal: ${figures.storage_error}`);
  if (figures.disk_room === "no") warnings.push("The disk is full: PUTs are refused.");
  return [
    ...warnings.map((text) => make("p", text, { class: "bad" })),
    make("div", cards, { class: "cards" }),
    make("h2", ["Queues ", make("small", rowsOf(seen.queues.length, figures.queues))]),
    queuesTable(seen.queues),
    make("h2", ["Clients ", make("small", `by ${count(figures.connections)} of ${count(figures.connections_max)} connections`)]),
    clientsTable(seen.clients),
    make("h2", "Figures"),
    make("div", Object.entries(figures).map(([name, value]) => make("p", [make("span", name), value])), { class: "figures" }),
  ];
}

const rowsOf = (shown, all) => (shown < all ? `${count(shown)} with most to do, of ${count(all)}` : count(all));

function queuesTable(queues) {
  const n = "number";
  const heads = [["name"], ...STATES.map((state) => [state, n]), ["net/s", n], ["oldest", n], ["bytes", n], ["waiting", n]];
  return table(heads, queues.map((queue) => [
    make("td", [link(toQueue(queue.name), queue.name), queue.is_paused ? " (paused)" : ""], { class: "name" }),
    ...STATES.map((state) => number(queue[state], undefined, state)),
    number(queue.change_per_s, rate(queue.change_per_s)),
    number(queue.oldest_s, span(queue.oldest_s)),
    number(queue.bytes, size(queue.bytes)),
    number(queue.waiting),
  ]), "There is no queue: the first PUT makes one.");
}

function clientsTable(clients) {
  const n = "number";
  const heads = [["client"], ["session"], ["connections", n], ["leases", n], ["requests/s", n], ["idle", n], ["waits for"]];
  return table(heads, clients.map((client) => [
    make("td", client.client, { class: "name" }),
    make("td", client.session ?? "", { class: "name" }),
    number(client.connections),
    number(client.leases, undefined, "leased"),
    number(client.requests_per_s, rate(client.requests_per_s)),
    number(client.idle_s, span(client.idle_s)),
    make("td", client.waiting.map((name, at) => [at ? ", " : "", link(toQueue(name), name)]).flat(), { class: "name" }),
  ]), "Nobody is connected.");
}

function drawQueue(seen, asked) {
  const here = toQueue(seen.queue);
  const now = asked.get("state") ?? "";
  const tabs = ["", ...STATES].map((state) =>
    make("a", state || "all", { href: state ? `${here}?state=${state}` : here, ...(state === now && { "aria-current": "page" }) }));
  const rows = seen.messages.map((message) => {
    const info = message.info;
    return [
      make("td", link(`#message/${message.id}`, message.id), { class: "number" }),
      make("td", message.state, { class: message.state }),
      number(Number(info.deliveries ?? 0)),
      number(Number(info.failures ?? 0), undefined, "bad"),
      number(Number(info.losses ?? 0), undefined, "bad"),
      make("td", info.reason ?? info.key ?? "", { class: "body" }),
      make("td", message.body + (message.body_chars > message.body.length ? " …" : ""), { class: "body" }),
    ];
  });
  const n = "number";
  const heads = [["id", n], ["state"], ["deliveries", n], ["failures", n], ["losses", n], ["reason or key"], ["body"]];
  const more = new URLSearchParams(asked);
  more.set("after", seen.next);
  return [
    make("h1", seen.queue),
    make("nav", tabs),
    table(heads, rows, asked.get("after") ? "No more messages." : "No messages."),
    ...(seen.next === null ? [] : [make("p", link(`${here}?${more}`, "more"))]),
  ];
}

function drawMessage(seen) {
  const rows = [["state", make("span", seen.state, { class: seen.state })], ["queue", link(toQueue(seen.queue), seen.queue)],
    ...Object.entries(seen.info).filter(([name]) => name !== "queue")];
  let body = seen.body;
  try {
    const pretty = JSON.stringify(JSON.parse(body), null, 2);
    if (JSON.stringify(JSON.parse(body)) === body) body = pretty; // else a number or key would look other than it is
  } catch { /* shown as it is */ }
  return [
    make("h1", `message ${seen.id}`),
    make("dl", rows.flatMap(([name, value]) => [make("dt", name), make("dd", value)])),
    make("h2", ["Body ", make("small", `${count(seen.body_chars)} characters`)]),
    make("pre", body),
  ];
}

// --- asking --------------------------------------------------------------------------------------

function place() {
  const [path, query] = location.hash.slice(1).split("?");
  const [kind, name] = path.split("/");
  const asked = new URLSearchParams(query);
  if (kind === "queue") return { path: `queues/${name}?${asked}`, draw: (seen) => drawQueue(seen, asked) };
  if (kind === "message") return { path: `messages/${name}`, draw: drawMessage };
  return { path: "overview", draw: drawOverview };
}

// Puts new elements in place of the old, and leaves the reader where they were.
function redraw(elements) {
  const focused = view.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const moved = [...view.querySelectorAll(".wide")].map((wide) => wide.scrollLeft);
  view.replaceChildren(...elements);
  for (const [at, wide] of view.querySelectorAll(".wide").entries()) wide.scrollLeft = moved[at] ?? 0;
  if (focused) view.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

async function look(isNew) {
  clearTimeout(timer);
  const turn = (drawn += 1);
  const { path, draw } = place();
  let said = "";
  try {
    const answer = await fetch(path);
    const text = await answer.text();
    if (turn !== drawn) return;
    if (!(answer.headers.get("content-type") ?? "").includes("json")) throw new Error(text || answer.statusText);
    const seen = JSON.parse(text);
    if (!answer.ok) throw new Error(seen.error);
    const open = getSelection()?.type === "Range"; // somebody is copying: don't draw it away
    if (isNew || !open) redraw(draw(seen));
    document.title = [view.querySelector("h1")?.textContent, "qserver"].filter(Boolean).join(" – ");
  } catch (error) {
    if (turn !== drawn) return;
    said = error instanceof TypeError ? "The page's own server, qclient web, does not answer." : error.message;
    if (isNew) view.replaceChildren();
  }
  trouble.textContent = said;
  trouble.hidden = !said;
  if (isNew) scrollTo(0, 0);
  if (!document.hidden) timer = setTimeout(look, AGAIN_MS);
}

document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const word = document.getElementById("word").value.trim();
  if (word) location.hash = /^[0-9]+$/.test(word) ? `message/${word}` : toQueue(word);
});
addEventListener("hashchange", () => look(true));
addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look(false)));
look(true);
