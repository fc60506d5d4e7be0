// The page: puts the panels together, and tells each of them what changed.

import { api } from "./api";
import { h, swap } from "./dom";
import { Picture } from "./graph/view";
import { choose, current, t } from "./i18n";
import { Editor } from "./panels/editor";
import { Flows } from "./panels/flows";
import { Policies } from "./panels/policies";
import { Tour } from "./panels/tour";
import { Try } from "./panels/try";
import { Why } from "./panels/why";
import { Store, type Change } from "./store";
import type { Edge } from "./types";

const store = new Store(draw);
const editor = new Editor();
const why = new Why((yaml) => editor.open(yaml));
const ask = (edge: Pick<Edge, "fromEnd" | "toEnd" | "protocol" | "port">) =>
  void why.ask({ from: edge.fromEnd, to: edge.toEnd, protocol: edge.protocol, port: edge.port });
const picture = new Picture({
  edge: ask,
  node: (node) => picture.highlight([node.id]),
});
const policies = new Policies({
  highlight: (nodes) => picture.highlight(nodes),
  edit: (yaml) => editor.open(yaml),
  remove: (id) => void api.remove(id).catch(tell),
});
const flows = new Flows(store, ask);
const attempt = new Try();
const tour = new Tour();
const keys = h("p", { class: "faint keys" }, t("keys"));
const message = h("p", { class: "problem", role: "alert" });

function draw(change: Change): void {
  const { state } = store;
  if (!state) return;
  if (change.state) {
    policies.draw(state);
    attempt.draw(state);
    tour.draw(state);
    why.again();
    picture.state(state, store.edges);
    frame();
  } else if (change.edges) {
    picture.edges(store.edges);
  }
  if (change.hits) policies.hits(state.policies);
  if (change.connection) message.textContent = store.connected ? "" : t("lostServer");
  for (const flow of change.flows ?? []) {
    const edge = flow.end ? undefined : store.edges.get(flow.edge);
    if (edge) picture.packet(edge);
  }
  if (change.flows?.length || change.state) flows.draw();
}

const actions = h("div", { class: "row" });
const app = document.querySelector("#app")!;

/** The buttons above, which depend on what may be done here. */
function frame(): void {
  const can = store.state?.can;
  swap(actions,
    can?.edit && h("button", { onclick: () => editor.open() }, t("newPolicy")),
    can?.edit && h("button", { title: t("resetHint"), onclick: () => {
      tour.restart();
      void api.reset().catch(tell);
    } }, t("reset")),
    h("button", { onclick: () => picture.fit() }, t("fit")),
    h("button", { title: t("theme"), "aria-label": t("theme"), onclick: theme }, "◐"),
    h("button", { class: "language", onclick: () => language(current() === "en" ? "ja" : "en") }, current() === "en" ? "日本語" : "English"));
}

function theme(): void {
  const root = document.documentElement;
  const dark = getComputedStyle(root).colorScheme === "dark" ||
    (!root.dataset["theme"] && matchMedia("(prefers-color-scheme: dark)").matches);
  root.dataset["theme"] = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset["theme"]);
}

function language(wanted: "en" | "ja"): void {
  choose(wanted);
  frame();
  picture.forget();
  flows.clear();
  flows.frame();
  keys.textContent = t("keys");
  draw({ state: true });
}

function tell(problem: unknown): void {
  message.textContent = problem instanceof Error ? problem.message : String(problem);
}

document.documentElement.lang = current();
const kept = new URLSearchParams(location.search).get("theme") ?? localStorage.getItem("theme");
if (kept === "dark" || kept === "light") document.documentElement.dataset["theme"] = kept;
app.append(
  h("header", {}, h("h1", {}, "sidewall"), message, actions),
  h("main", {},
    h("div", { class: "left" }, tour.element, policies.element),
    h("div", { class: "centre" }, picture.element, keys, attempt.element),
    h("div", { class: "right" }, why.element)),
  flows.element,
  editor.element);
frame();
void store.load().catch(tell);
store.open(new URLSearchParams(location.search).get("filter") ?? "");
addEventListener("resize", () => picture.fit());
