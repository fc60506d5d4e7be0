// Demo only: a connection, or a question to DNS, from any pod to any other, once or again and again.

import { api } from "../api";
import { h, swap } from "../dom";
import { t } from "../i18n";
import type { State, Tried } from "../types";

/** How often a connection is repeated. */
const AGAIN_MS = 2000;

export class Try {
  readonly element = h("section", { class: "panel try", "aria-labelledby": "try-title" });
  private result = h("p", { role: "status", class: "result" });
  private chosen = { from: "", to: "", protocol: "TCP", port: "80", name: "" };
  private timer = 0;
  private busy = false;

  draw(state: State): void {
    const pods = state.nodes.flatMap((node) => node.pods.map((pod) => pod.name));
    if (!state.can.probe || pods.length === 0) {
      swap(this.element);
      return;
    }
    const chosen = this.chosen;
    if (!pods.includes(chosen.from)) chosen.from = pods.find((pod) => pod.includes("attacker")) ?? pods[0]!;
    if (!pods.includes(chosen.to)) {
      const near = pods.filter((pod) => pod !== chosen.from && pod.split("/")[0] === chosen.from.split("/")[0]);
      chosen.to = near.at(-1) ?? pods[0]!;
    }
    const select = (field: "from" | "to" | "protocol", options: string[]) =>
      h("label", {}, field === "protocol" ? "" : t(field), h("select", {
        name: field, "aria-label": field === "protocol" ? "protocol" : t(field),
        onchange: (event: Event) => { chosen[field] = (event.target as HTMLSelectElement).value; },
      }, ...options.map((option) => h("option", { value: option, selected: option === chosen[field] }, option))));
    const input = (field: "port" | "name", size: number, label: string, placeholder: string) => h("input", {
      name: field, size, value: chosen[field], placeholder, "aria-label": label, spellcheck: "false",
      oninput: (event: Event) => { chosen[field] = (event.target as HTMLInputElement).value; },
    });
    const again = h("input", { type: "checkbox", checked: this.timer !== 0, onchange: () => this.repeat(again.checked) });
    swap(this.element,
      h("h2", { id: "try-title" }, t("try")),
      h("form", { class: "row", onsubmit: (event: Event) => { event.preventDefault(); void this.connect(); } },
        select("from", pods), select("to", pods), select("protocol", ["TCP", "UDP"]), input("port", 5, t("port"), "80"),
        h("button", { class: "primary" }, t("connect")), h("label", {}, again, t("keepTrying"))),
      h("form", { class: "row", onsubmit: (event: Event) => { event.preventDefault(); void this.lookup(); } },
        input("name", 28, t("lookup"), "db.np-demo.svc.cluster.local"), h("button", {}, t("lookup"))),
      this.result);
  }

  private repeat(on: boolean): void {
    clearInterval(this.timer);
    this.timer = on ? window.setInterval(() => { if (!this.busy) void this.connect(); }, AGAIN_MS) : 0;
  }

  private connect(): Promise<void> {
    const { from, to, protocol, port } = this.chosen;
    return this.show(() => api.connect(from, to, protocol, Number(port)));
  }

  private lookup(): Promise<void> {
    const { from, name } = this.chosen;
    return this.show(() => api.resolve(from, name));
  }

  private async show(attempt: () => Promise<Tried>): Promise<void> {
    this.busy = true;
    this.result.className = "result";
    this.result.textContent = t("trying");
    try {
      const tried = await attempt();
      this.result.className = `result ${tried.passed ? "allowed" : "blocked"}`;
      this.result.textContent = `${tried.passed ? "✓" : "✗"} ${tried.title}: ${tried.outcome}${tried.summary ? ` — ${tried.summary}` : ""}`;
    } catch (problem) {
      this.result.className = "result problem";
      this.result.textContent = problem instanceof Error ? problem.message : String(problem);
    } finally {
      this.busy = false;
    }
  }
}
