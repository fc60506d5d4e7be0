// Right: why a connection is allowed or blocked. Egress at its source and ingress at its destination side
// by side, each rule with a ✓ or ✗ per criterion, what would allow it, and the command that says the same.

import { api, Refused } from "../api";
import { copyButton, h, swap } from "../dom";
import { t } from "../i18n";
import type { Side, Why as Answer } from "../types";

export interface Question { from: string; to: string; protocol: string; port: number }

export class Why {
  readonly element = h("section", { class: "panel why", "aria-labelledby": "why-title", "aria-live": "polite" });
  private question: Question | null = null;

  constructor(private edit: (yaml: string) => void) { this.draw(null); }

  /** Asks, and shows the answer. */
  async ask(question: Question): Promise<void> {
    this.question = question;
    try {
      const { from, to, protocol, port } = question;
      const answer = await api.why(from, to, protocol, port);
      if (this.question === question) this.draw(answer);
    } catch (refused) {
      swap(this.element, this.title(), h("p", { class: "problem" }, refused instanceof Refused ? refused.message : String(refused)));
    }
  }

  /** Asks the same again, after policies or the language changed. */
  again(): void {
    if (this.question) void this.ask(this.question);
    else this.draw(null);
  }

  private title(): HTMLElement { return h("h2", { id: "why-title" }, t("why")); }

  private draw(answer: Answer | null): void {
    if (!answer || !this.question) {
      swap(this.element, this.title(), h("p", { class: "faint" }, t("whyHint")));
      return;
    }
    const { from, to, protocol, port } = this.question;
    const { suggestion } = answer;
    swap(this.element,
      this.title(),
      h("p", { class: `verdict ${answer.allowed ? "allowed" : "blocked"}` },
        `${answer.allowed ? "✓" : "✗"} ${from} → ${to} ${protocol}${port ? ` ${port}` : ""}: ${t(answer.allowed ? "allowed" : "blocked")}`),
      answer.loopback && h("p", {}, t("loopback")),
      h("div", { class: "sides" },
        this.sides(t("leaving"), answer.egress), this.sides(t("entering"), answer.ingress)),
      ...answer.hints.map((hint) => h("p", { class: "hint" }, hint)),
      suggestion && h("h3", {}, t("allowIt")),
      suggestion && h("pre", { class: "yaml" }, suggestion),
      suggestion && h("div", { class: "row" }, copyButton(suggestion, t("copy"), t("copied")),
        h("button", { class: "small", onclick: () => this.edit(suggestion) }, t("useIt"))),
      h("h3", {}, t("terminal")),
      h("pre", { class: "command" }, answer.command),
      copyButton(answer.command, t("copy"), t("copied")));
  }

  private sides(title: string, sides: Side[]): HTMLElement {
    return h("div", { class: "side" }, h("h3", {}, title),
      sides.length === 0 && h("p", { class: "faint" }, t("noSay")),
      ...sides.map((side) => h("div", { class: side.allowed ? "answer allowed" : "answer blocked" },
        h("strong", {}, `${side.allowed ? "✓" : "✗"} ${side.pod}`),
        h("ul", { class: "criteria" }, ...side.lines.map(criterion)),
        h("p", {}, side.summary))));
  }
}

/** A line of an explanation: its indent becomes a margin, its mark a colour. */
function criterion(line: string): HTMLLIElement {
  const text = line.trimStart();
  const mark = text.startsWith("✓") ? "good" : text.startsWith("✗") ? "bad" : "";
  return h("li", { class: `${mark} depth${Math.min(4, Math.floor((line.length - text.length) / 2))}` }, text);
}
