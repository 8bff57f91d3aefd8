
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const at = (id) => document.getElementById(id);

// What others wrote only ever becomes text: nodes are made one by one, and never out of a string.
function make(tag, attributes = {}, ...children) {
  const node = SHAPES.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(9).filter((child) => child != null && child !== false));
  return node;
}
const SHAPES = new Set(["svg", "rect", "path", "text", "g", "title", "desc"]);
const name = (text, more = {}) => make("bdi", { title: text.length > 40 && text, ...more }, text);

// Makes what is there like what is new, and leaves alone what is the same: so the focus stays where it is.
function become(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  fill(old, [...fresh.childNodes]);
}

function fill(parent, fresh) {
  const keyed = new Map([...parent.children].filter((it) => it.dataset.key).map((it) => [it.dataset.key, it]));
  const wanted = new Set(fresh.map((it) => it.dataset?.key));
  let place = parent.firstChild;
  for (const node of fresh) {
    const key = node.dataset?.key;
    let old = key ? keyed.get(key) : place;
    if (!key && (old?.nodeName !== node.nodeName || old.dataset?.key)) old = node.parentNode === parent ? node : null;
    if (!old) { parent.insertBefore(node, place); continue; }
    // Those in between that are not wanted any more go, so that the others need not move.
    while (place && place !== old && place.dataset?.key && !wanted.has(place.dataset.key)) {
      const gone = place;
      place = place.nextSibling;
      gone.remove();
    }
    if (old === place) place = place.nextSibling; else parent.insertBefore(old, place);
    if (old !== node) become(old, node);
  }
  while (place) { const gone = place; place = place.nextSibling; gone.remove(); }
}

const draw = (id, ...children) => fill(at(id), [...make("div", {}, children).childNodes]);

const count = (number) => number.toLocaleString("en");
const percent = (share) => share == null ? "–" : (share * 100).toFixed(1) + " %";
const rate = (number) => number >= 100 ? count(Math.round(number)) : number.toFixed(1);
const time = (text) => new Date(text).toLocaleString("sv");
const several = (number, one, more = one + "s") => `${count(number)} ${number === 1 ? one : more}`;

function totals({ workloads, routes, left, trouble, open, rate: rates }) {
  const one = (title, value, more) =>
    make("div", {}, make("dt", {}, title), make("dd", {}, value, more && make("small", {}, " ", more)));
  draw("totals",
    one("Workloads", count(workloads)),
    one("Routes", count(routes), left > 0 && `${count(left)} left to the proxy`),
    one("With trouble", trouble > 0 ? make("span", { class: "bad" }, `▲ ${count(trouble)}`) : "0"),
    one("Connections", rates ? rate(rates.established) : "–", "a second"),
    one("Fail or are refused", rates ? rate(rates.failed) : "–", "a second"),
    one("Open", count(open)));
}

function problems({ problems, moreProblems }) {
  at("problems").hidden = problems.length === 0;
  const item = ({ kind, what, why, since }) => make("li", {},
    make("span", { class: kind === "warning" ? "kind warning" : "kind" }, kind),
    name(what),
    since && make("span", { class: "quiet small" }, ` since ${time(since)}`),
    why.length > 0 && make("ul", {}, why.map((line) => make("li", {}, name(line)))));
  draw("problem-list", problems.map(item),
    moreProblems > 0 && make("li", {}, `and ${count(moreProblems)} more: see tcproute status`));
}

// The outline is what is configured, the bar what was seen; the numbers stand beside them.
function bar({ share, observed, endpoints }) {
  const [wide, high] = [150, 14];
  const refused = endpoints.length === 0 && share > 0;
  return make("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" },
    make("rect", { class: "track", width: wide, height: high, rx: 2 }),
    make("rect", { class: refused ? "observed refused" : "observed", y: 3, width: wide * (observed ?? 0), height: 8 }),
    share > 0 && make("rect", { class: "configured", x: .5, y: .5, width: Math.max(wide * share - 1, 1), height: high - 1 }));
}

function rates({ rate: rates, counts }) {
  if (!rates) return counts ? "–" : make("span", { class: "quiet" }, "not counted");
  return [`${rate(rates.established)}/s`,
    rates.failed > 0 && make("div", { class: "bad" }, `▲ ${rate(rates.failed)}/s fail`)];
}

function endpoint({ address, ejected }) {
  return make("div", { class: "address" }, address, ejected && make("span", { class: "bad" }, " ✕ taken out"));
}

function backend(it) {
  const { kind, name: named, weight, share, observed, endpoints, moreEndpoints } = it;
  const shown = endpoints.slice(0, 3);
  const more = endpoints.length - shown.length + moreEndpoints;
  return [
    make("td", { class: "target" }, name(named, { class: "name" }),
      make("span", { class: "quiet small" }, `${kind}, weight ${count(weight)}`)),
    make("td", { class: "split" }, bar(it)),
    make("td", { class: "number", "data-label": "configured" }, percent(share)),
    make("td", { class: "number", "data-label": "observed" }, percent(observed)),
    make("td", { class: "number", "data-label": "rate" }, rates(it)),
    make("td", { class: "endpoints" },
      endpoints.length > 0 ? shown.map(endpoint) : make("span", { class: share > 0 ? "bad" : "quiet" },
        share > 0 ? "✕ none: refused" : "none"),
      more > 0 && make("div", { class: "quiet small" }, `and ${count(more)} more`)),
  ];
}

function route(it) {
  const { id, client, mesh, service, dialled, routed, reason, backends, moreBackends, trouble } = it;
  const opened = unfolded.has(id);
  const rest = [];
  if (moreBackends > 0) rest.push(`and ${several(moreBackends, "more backendRef")}: see tcproute stats`);
  const lines = backends.map(backend);
  if (!routed) {
    lines.length = 0;
    lines.push(make("td", { colspan: 6, class: "quiet" }, "Left to the proxy: ", name(reason)));
  }
  rest.forEach((text) => lines.push(make("td", { colspan: 6, class: "quiet" }, text)));
  if (trouble.length > 0) {
    lines.push(make("td", { colspan: 6 }, make("ul", { class: "troubles" },
      trouble.map((text) => make("li", {}, make("span", { class: "bad" }, "▲ "), name(text))))));
  }
  if (lines.length === 0) lines.push(make("td", { colspan: 6, class: "quiet" }, "no backendRef: refused"));
  const span = lines.length;
  const rows = lines.map((cells, index) => make("tr", {},
    index === 0 && [
      make("th", { scope: "rowgroup", rowspan: span, class: "client" }, name(client, { class: "name" }),
        make("span", { class: "quiet small" }, "mesh ", name(mesh))),
      make("td", { rowspan: span, class: "service" }, name(service, { class: "name" }),
        make("span", { class: "address" }, dialled),
        make("div", {}, make("button", { type: "button", class: "open", "data-open": id, "aria-expanded": `${opened}`,
          "aria-label": `${opened ? "Hide" : "Show"} the flow and details of ${client} to ${service}` },
        opened ? "▾ hide" : "▸ flow and details"))),
    ], cells));
  return make("tbody", { "data-key": id, class: trouble.length > 0 && "trouble" }, rows,
    opened && make("tr", {}, make("td", { colspan: 8, class: "detail" }, flow(it), facts(it))));
}

// What is drawn already stays as it is.
let drawn = new Map();
function tables(routes) {
  const there = new Map([...at("table").tBodies].map((it) => [it.dataset.key, it]));
  const before = drawn;
  drawn = new Map(routes.map((it) => [it.id, JSON.stringify(it) + unfolded.has(it.id)]));
  const same = (id) => before.get(id) === drawn.get(id) && there.get(id);
  return routes.map((it) => same(it.id) || route(it));
}

const short = (text, most = 26) => [...text].length > most ? [...text].slice(0, most - 1).join("") + "…" : text;

// Client, service, backendRefs and endpoints, with lines as wide as the share.
function flow({ client, service, dialled, routed, backends }) {
  if (!routed || backends.length === 0) return null;
  const [wide, gap, line, thick] = [220, 90, 19, 20];
  const column = (index) => index * (wide + gap);
  const shapes = { lines: [], boxes: [] };
  const box = (index, middle, first, second, bad) => {
    const high = second ? 40 : 24;
    shapes.boxes.push(make("rect", { x: column(index), y: middle - high / 2, width: wide, height: high, rx: 5 }),
      make("text", { x: column(index) + 10, y: middle + (second ? -3 : 4.5), class: bad && "bad" }, short(first)),
      second && make("text", { x: column(index) + 10, y: middle + 13, class: "head" }, short(second)));
  };
  const link = (index, from, to, share, refused) => {
    const [left, right] = [column(index) + wide, column(index + 1)];
    const middle = (left + right) / 2;
    shapes.lines.push(make("path", { d: `M${left} ${from}C${middle} ${from} ${middle} ${to} ${right} ${to}`,
      "stroke-width": refused ? 2 : Math.max(share * thick, 1), class: refused && "refused" }));
  };
  let y = 10;
  const heads = ["client", "service, as dialled", "backendRef", "endpoints"];
  heads.forEach((text, index) => shapes.boxes.push(make("text", { x: column(index) + 10, y, class: "head" }, text)));
  y += 14;
  const middles = backends.map((it) => {
    const ends = it.endpoints.map(({ address, ejected }) => ejected ? `✕ ${address}` : address);
    if (it.moreEndpoints > 0) ends.push(`and ${count(it.moreEndpoints)} more`);
    const high = Math.max(44, ends.length * (line + 9) + 8);
    const middle = y + high / 2;
    const refused = ends.length === 0;
    box(2, middle, it.name, `${percent(it.share)}, seen ${percent(it.observed)}`);
    if (refused) {
      box(3, middle, it.share > 0 ? "✕ no endpoint: refused" : "no endpoint", null, it.share > 0);
      link(2, middle, middle, it.share, true);
    }
    const step = line + 9;
    const begin = middle - (ends.length - 1) * step / 2;
    ends.forEach((text, index) => {
      box(3, begin + index * step, text);
      const from = middle + ((index + 0.5) / ends.length - 0.5) * it.share * thick;
      if (it.share > 0) link(2, from, begin + index * step, it.share / ends.length, false);
    });
    y += high + 8;
    return { middle, share: it.share, refused };
  });
  const center = (24 + y - 8) / 2;
  let from = center - thick / 2;
  for (const { middle, share, refused } of middles) {
    if (share > 0) link(1, from + share * thick / 2, middle, share, refused);
    from += share * thick;
  }
  box(0, center, client);
  box(1, center, service, dialled);
  link(0, center, center, 1, false);
  const words = backends.map(({ name, share, observed, endpoints, moreEndpoints }) =>
    `${percent(share)} to ${name}, ${percent(observed)} seen, ` +
    (endpoints.length > 0 ? several(endpoints.length + moreEndpoints, "endpoint") : "refused: no endpoint"));
  const size = [column(3) + wide + 2, y];
  return make("div", { class: "flow" }, make("svg", { role: "img", width: size[0], height: size[1],
    viewBox: `-1 0 ${size[0]} ${size[1]}`, "aria-label": `${client} dials ${service} at ${dialled}: ${words.join("; ")}` },
  shapes.lines, shapes.boxes));
}

function facts({ mesh, cgroup, protocol, reason, policies, selection, since, verdict, notes, backends }) {
  const pairs = [];
  const fact = (term, ...what) => pairs.push(make("dt", {}, term), make("dd", {}, what));
  fact("Why", name(reason));
  if (policies.length > 0) fact("Policies", policies.map((it, index) => [index > 0 && ", ", name(it)]));
  if (selection) fact("Chosen", selection === "even" ? "in turns" : "by chance", since && `, compared since ${time(since)}`);
  if (verdict) fact("Split", verdict);
  for (const { name: named, chosen, counts } of backends) {
    if (!counts) continue;
    fact(name(named), chosen != null && `chosen ${count(chosen)}; `, `established ${count(counts.established)}, `,
      `open ${count(counts.open)}, failed ${count(counts.failed)}, refused for want of endpoints ${count(counts.noEndpoint)}`);
  }
  notes.forEach((note) => fact("Note", name(note)));
  fact("Where", "mesh ", name(mesh), `, protocol `, name(protocol), ", cgroup ", make("code", {}, name(cgroup)));
  return make("dl", { class: "facts" }, pairs);
}

function show(view) {
  const { node, page, pages, first, matching, routes } = view;
  const focus = document.activeElement;
  draw("node", name(node.name));
  document.title = `${node.ready ? "" : "▲ "}${node.name} · tcproute`;
  at("state").className = node.ready ? "state" : "state bad";
  draw("state", node.ready ? "● ready" : "▲ not ready: the kernel does not hold what was resolved");
  totals(view.totals);
  problems(view);
  fill(at("table"), [...at("table").querySelectorAll("caption, thead"), ...tables(routes)]);
  const last = first + routes.length - 1;
  draw("where", matching > 0 && `${count(first)}–${count(last)} of ${count(matching)}, page ${count(page)} of ${count(pages)}`);
  at("previous").disabled = page <= 1;
  at("next").disabled = page >= pages;
  at("none").hidden = matching > 0;
  draw("none", view.totals.routes > 0 ? "No route is like that." : "There are no routes: no local workload dials anything.");
  draw("footer", `tcproute ${node.version}, pid ${node.pid}, started ${time(node.started)}, Linux `, name(node.kernel),
    ". For reading only.");
  // Where it stood may have moved, or there may be no page beyond.
  if (focus?.disabled) at("routes").focus({ preventScroll: true });
  else if (focus?.isConnected && focus !== document.activeElement) focus.focus({ preventScroll: true });
}

// What a reader who does not see the page wants to be told.
function changes(before, view) {
  const told = [];
  if (before.node.ready !== view.node.ready) told.push(view.node.ready ? "ready" : "not ready");
  const [troubled, trouble] = [before.totals.trouble, view.totals.trouble];
  if (troubled !== trouble) told.push(`${several(trouble, "route")} with trouble`);
  const known = new Set(before.problems.map(({ kind, what }) => kind + what));
  for (const { kind, what } of view.problems) if (!known.has(kind + what)) told.push(`${kind}: ${what}`);
  const old = new Map(before.routes.map((it) => [it.id, it]));
  for (const { id, client, service, backends } of view.routes) {
    const was = old.get(id)?.backends.map(({ share }) => share).join();
    if (was == null || was === backends.map(({ share }) => share).join()) continue;
    told.push(`${client} to ${service}: ${backends.map(({ name, share }) => `${percent(share)} to ${name}`).join(", ")}`);
  }
  return told.slice(0, 5);
}

const query = Object.fromEntries(["filter", "show", "sort", "page"].map((it) =>
  [it, new URLSearchParams(location.search).get(it) ?? ""]));
const unfolded = new Set();
let view = null;
let asked = false;
let source = null;
let later = 0;

function live(text, bad) {
  if (at("live").textContent === text) return;
  at("live").className = bad ? "live bad" : "live";
  draw("live", text);
}

const tell = (text) => draw("told", text);

function connect() {
  clearTimeout(later);
  source?.close();
  const wanted = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ""));
  history.replaceState(null, "", wanted.size > 0 ? `?${wanted}` : location.pathname);
  source = new EventSource(`/v1/view?${wanted}`);
  source.addEventListener("view", ({ data }) => {
    const [before, next] = [view, JSON.parse(data)];
    view = next;
    live("● live");
    show(view);
    if (asked) tell(`${several(view.matching, "route")}, page ${view.page} of ${view.pages}`);
    else if (before) {
      const told = changes(before, view);
      if (told.length > 0) tell(told.join(". "));
    }
    asked = false;
  });
  source.addEventListener("failed", ({ data }) => live(`▲ not read: ${JSON.parse(data).error}`, true));
  source.addEventListener("error", () => {
    const refused = source.readyState === EventSource.CLOSED;
    live(refused ? "▲ not answered: too many look at once? Trying again" : "▲ no connection: what is shown is old", true);
    if (at("told").textContent !== at("live").textContent) tell(at("live").textContent);
    if (refused) later = setTimeout(connect, 5000);
  });
}

function ask(more) {
  Object.assign(query, { page: "" }, more);
  asked = true;
  connect();
}

for (const id of ["filter", "show", "sort"]) at(id).value = query[id];
let typed = 0;
at("filter").addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(() => ask({ filter: at("filter").value.trim() }), 250);
});
for (const id of ["show", "sort"]) at(id).addEventListener("change", () => ask({ [id]: at(id).value }));
at("query").addEventListener("submit", (event) => event.preventDefault());
const turn = (by) => view && ask({ page: String(view.page + by) });
at("previous").addEventListener("click", () => turn(-1));
at("next").addEventListener("click", () => turn(1));
at("table").addEventListener("click", ({ target }) => {
  const id = target.closest("[data-open]")?.dataset.open;
  if (!id) return;
  if (!unfolded.delete(id)) unfolded.add(id);
  show(view);
});
// Nobody is told what nobody looks at.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return connect();
  clearTimeout(later);
  source.close();
});
connect();
