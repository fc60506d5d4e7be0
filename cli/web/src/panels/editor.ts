// Demo only: policies as YAML, with what would change before anything does. Bad YAML is refused by the
// server with line and field, and nothing is applied.

import { api, Refused } from "../api";
import { h, swap } from "../dom";
import { t } from "../i18n";
import type { Preview } from "../types";

const TEMPLATE = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: default-deny
  namespace: np-demo
spec:
  podSelector: {}
  policyTypes: [Ingress]
`;

export class Editor {
  readonly element = h("dialog", { class: "editor", "aria-labelledby": "editor-title" });
  private text = h("textarea", { rows: 18, cols: 80, spellcheck: "false", "aria-labelledby": "editor-title", oninput: () => this.later() });
  private result = h("div", { class: "preview", role: "status" });
  private timer = 0;

  /** Opens with this YAML, or with a template. */
  open(yaml?: string): void {
    this.text.value = yaml ?? TEMPLATE;
    swap(this.element,
      h("h2", { id: "editor-title" }, t("edit")),
      this.text,
      this.result,
      h("div", { class: "row" },
        h("button", { onclick: () => void this.preview() }, t("preview")),
        h("button", { class: "primary", onclick: () => void this.apply() }, t("apply")),
        h("button", { onclick: () => this.element.close() }, t("cancel"))));
    swap(this.result);
    if (!this.element.open) this.element.showModal();
    this.text.focus();
    void this.preview();
  }

  private later(): void {
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.preview(), 300);
  }

  private async preview(): Promise<void> {
    const yaml = this.text.value;
    try {
      const preview = await api.preview(yaml);
      if (yaml === this.text.value) swap(this.result, ...changes(preview));
    } catch (problem) {
      if (yaml === this.text.value) swap(this.result, ...refusal(problem));
    }
  }

  private async apply(): Promise<void> {
    clearTimeout(this.timer);
    try {
      await api.apply(this.text.value);
      this.element.close();
    } catch (problem) {
      swap(this.result, ...refusal(problem));
    }
  }
}

function changes({ gained, lost, remarks }: Preview): HTMLElement[] {
  const list = (title: string, kind: string, lines: string[]) => [
    h("h3", {}, `${title} (${lines.length})`),
    h("ul", { class: "criteria" }, ...lines.map((line) => h("li", { class: kind }, line))),
  ];
  return [
    ...(gained.length + lost.length === 0 ? [h("p", { class: "faint" }, t("noChange"))] : []),
    ...(gained.length ? list(t("gained"), "good", gained) : []),
    ...(lost.length ? list(t("lost"), "bad", lost) : []),
    ...remarks.map((remark) => h("p", { class: "hint" }, remark)),
  ];
}

function refusal(problem: unknown): HTMLElement[] {
  if (!(problem instanceof Refused)) return [h("p", { class: "problem" }, String(problem))];
  return [
    h("p", { class: "problem" }, problem.mistakes.length ? t("mistakes") : problem.message),
    h("ul", {}, ...problem.mistakes.map(({ line, field, problem }) =>
      h("li", { class: "problem" }, `${t("line")} ${line}: ${field ? `${field}: ` : ""}${problem}`))),
  ];
}
