// Bottom: the flow table. Its filter is the one of `sidewall observe`; the server does the filtering.

import { api, Refused } from "../api";
import { h, swap } from "../dom";
import { t } from "../i18n";
import type { Store } from "../store";
import type { Flow } from "../types";

/** Rows in the page at most; the newest. */
const SHOWN = 100;

export class Flows {
  readonly element = h("section", { class: "panel flows", "aria-labelledby": "flows-title" });
  private body = h("tbody", {});
  private note = h("span", { class: "faint", role: "status" });
  private problem = h("span", { class: "problem", role: "alert" });
  private paused = false;
  private shown = new Map<number, HTMLTableRowElement>();

  constructor(private store: Store, private why: (flow: Flow) => void) { this.frame(); }

  /** Draws everything, as after a change of language. */
  frame(): void {
    const input = h("input", {
      type: "text", class: "filter", placeholder: t("filter"), "aria-label": t("filter"), value: this.store.filter, spellcheck: "false",
      onkeydown: (event: KeyboardEvent) => { if (event.key === "Enter") void this.filter(input.value); },
      onchange: () => void this.filter(input.value),
    });
    const pause = h("button", { class: "small", "aria-pressed": String(this.paused), onclick: () => {
      this.paused = !this.paused;
      this.frame();
      this.draw();
    } }, t(this.paused ? "resume" : "pause"));
    const head = (["time", "verdict", "from", "to", "port", "where", "reason"] as const).map((word) => h("th", { scope: "col" }, t(word)));
    swap(this.element,
      h("div", { class: "row" }, h("h2", { id: "flows-title" }, t("flows")), input, pause,
        h("a", { class: "small button", href: api.flowsUrl(this.store.filter), download: "flows.json" }, t("export")), this.note, this.problem),
      h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, ...head)), this.body)));
  }

  /** Draws new rows, keeping those that are there. */
  draw(): void {
    this.note.textContent = this.store.skipped ? `${this.store.skipped} ${t("skipped")}` : "";
    if (this.paused) return;
    const rows = this.store.rows.slice(0, SHOWN);
    const next = new Map<number, HTMLTableRowElement>();
    for (const flow of rows) next.set(flow.id, this.shown.get(flow.id) ?? this.row(flow));
    // Whoever reads the oldest line with the keyboard stays at the end when it goes.
    const left = [...this.shown].filter(([id]) => !next.has(id)).some(([, row]) => row === document.activeElement);
    for (const [id, row] of this.shown) if (!next.has(id)) row.remove();
    let before: Element | null = this.body.firstElementChild;
    for (const row of next.values()) {
      if (row === before) before = before.nextElementSibling;
      else this.body.insertBefore(row, before);
    }
    this.shown = next;
    if (left) [...next.values()].at(-1)?.focus({ preventScroll: true });
  }

  /** Forgets the rows, as the words in them are of another language. */
  clear(): void {
    this.shown.clear();
    swap(this.body);
  }

  private async filter(filter: string): Promise<void> {
    if (filter === this.store.filter) return;
    try {
      await api.checkFilter(filter);
      this.problem.textContent = "";
      this.store.open(filter);
      this.clear();
    } catch (refused) {
      this.problem.textContent = refused instanceof Refused ? refused.message : String(refused);
    }
  }

  private row(flow: Flow): HTMLTableRowElement {
    const choose = () => this.why(flow);
    const where = flow.end ? "" : t(flow.direction === "egress" ? "atEgress" : "atIngress");
    return h("tr", {
      class: flow.end ? "end" : flow.verdict, tabindex: 0, onclick: choose, "data-verdict": flow.verdict,
      onkeydown: (event: KeyboardEvent) => { if (event.key === "Enter") choose(); },
    },
      h("td", {}, new Date(flow.time).toLocaleTimeString()),
      h("td", { class: "mark" }, flow.end ? "–" : `${flow.verdict === "allowed" ? "✓" : "✗"} ${t(flow.verdict)}`),
      h("td", {}, flow.from), h("td", {}, flow.to), h("td", {}, `${flow.protocol}${flow.port ? ` ${flow.port}` : ""}`),
      h("td", {}, where), h("td", { class: "reason" }, flow.summary || flow.reason));
  }
}
