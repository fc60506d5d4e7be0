// Left: the policies, what each selects and how often it decided, and what lint has to say.

import { h, swap } from "../dom";
import { t } from "../i18n";
import type { Policy, State } from "../types";

export interface Asked {
  highlight(nodes: string[]): void;
  edit(yaml: string): void;
  remove(id: string): void;
}

export class Policies {
  readonly element = h("section", { class: "panel", "aria-labelledby": "policies-title" });

  constructor(private asked: Asked) {}

  draw(state: State): void {
    swap(this.element,
      h("h2", { id: "policies-title" }, t("policies"), h("span", { class: "count" }, String(state.policies.length))),
      state.policies.length === 0 && h("p", { class: "faint" }, t("noPolicies")),
      h("ul", { class: "list" }, ...state.policies.map((policy) => this.policy(policy, state.can.edit))),
      h("h2", {}, t("findings"), h("span", { class: "count" }, String(state.lint.length))),
      state.lint.length === 0 && h("p", { class: "faint" }, t("noFindings")),
      h("ul", { class: "list" }, ...state.lint.map((finding) => h("li", { class: `finding ${finding.severity}` },
        h("strong", { title: finding.name }, finding.rule), " ",
        finding.object && h("span", { class: "faint" }, `${finding.object.namespace}/${finding.object.name}`),
        h("div", {}, finding.message), h("div", { class: "faint" }, finding.fix)))));
  }

  /** Only the counters: whoever is about to press a button there keeps it under the pointer. */
  hits(policies: Policy[]): void {
    for (const policy of policies) {
      const shown = this.element.querySelector(`[data-policy="${CSS.escape(policy.id)}"]`);
      for (const kind of ["allowed", "blocked"] as const) {
        const text = shown?.querySelector(`.hits.${kind}`);
        if (text) text.textContent = count(kind, policy[kind]);
      }
    }
  }

  private policy(policy: Policy, edit: boolean): HTMLLIElement {
    const mark = () => this.asked.highlight(policy.selects);
    const unmark = () => this.asked.highlight([]);
    return h("li", {
      class: policy.problem ? "policy bad" : "policy", tabindex: 0, "data-policy": policy.id,
      onmouseenter: mark, onmouseleave: unmark, onfocusin: mark, onfocusout: unmark,
    },
      h("div", {}, h("strong", {}, policy.name), " ", h("span", { class: "faint" }, policy.namespace)),
      h("div", { class: "faint" }, `${policy.directions.join(" + ")} · `,
        policy.selects.length ? policy.selects.map((id) => id.split("/").pop()).join(", ") : t("selectsNothing")),
      policy.problem && h("div", { class: "problem" }, policy.problem),
      h("div", { class: "row" },
        h("span", { class: "hits allowed", title: t("allowedCount") }, count("allowed", policy.allowed)),
        h("span", { class: "hits blocked", title: t("blockedCount") }, count("blocked", policy.blocked)),
        edit && h("button", { class: "small", onclick: () => this.asked.edit(policy.yaml) }, t("edit")),
        edit && h("button", { class: "small", onclick: () => this.asked.remove(policy.id) }, t("remove"))));
  }
}

function count(kind: "allowed" | "blocked", hits: number): string { return `${kind === "allowed" ? "✓" : "✗"} ${hits}`; }
