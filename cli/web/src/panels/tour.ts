// Demo only: the story, step by step. Each step tells its lesson, shows the YAML it applies, makes its
// connections, and says whether all happened as told.

import { api } from "../api";
import { h, swap } from "../dom";
import { t, told } from "../i18n";
import type { State, Story, Tried } from "../types";

export class Tour {
  readonly element = h("section", { class: "panel tour", "aria-labelledby": "tour-title" });
  private at = 0;
  private details: HTMLDetailsElement | null = null;
  private results = new Map<number, Tried[] | string>();
  private playing = false;
  private story: Story | null = null;

  draw(state: State): void {
    this.story = state.story;
    if (state.story && state.story.step === 0 && !this.playing) this.results.clear();
    this.show();
  }

  /** Starts over, as after a reset. */
  restart(): void {
    this.at = 0;
    this.results.clear();
    this.show();
  }

  private show(): void {
    const story = this.story;
    const step = story?.steps[this.at];
    if (!story || !step) {
      swap(this.element);
      return;
    }
    const summary = h("summary", {}, h("h2", { id: "tour-title" }, t("tour")), " ", told(story.title));
    // Asked of the element itself: its toggle event comes a moment late, and would be lost with it.
    const details = h("details", { open: this.details?.open ?? false }, summary);
    this.details = details;
    const results = this.results.get(this.at);
    const last = this.at === story.steps.length - 1;
    const all = Array.isArray(results) && results.every((tried) => tried.mistakes.length === 0);
    details.append(
      h("h3", {}, `${t("step")} ${this.at + 1}/${story.steps.length}: ${told(step.title)}`),
      h("p", { class: "lesson" }, told(step.text)),
      ...step.apply.map((manifest) => h("details", { class: "manifest" },
        h("summary", {}, `kubectl apply -f ${manifest.name}`), h("pre", { class: "yaml" }, manifest.yaml))),
      h("div", { class: "row" },
        h("button", { disabled: this.at === 0 || this.playing, onclick: () => this.go(-1) }, t("back")),
        h("button", { class: "primary", disabled: this.playing, onclick: () => void this.play() }, t("play")),
        h("button", { disabled: last || !Array.isArray(results) || this.playing, onclick: () => this.go(1) }, t("next"))),
      h("div", { role: "status" },
        this.playing && t("trying"),
        typeof results === "string" && h("p", { class: "problem" }, results),
        Array.isArray(results) && h("ul", { class: "criteria" }, ...results.map(outcome)),
        last && all && h("p", { class: "verdict allowed" }, t("done"))));
    swap(this.element, details);
  }

  private go(by: number): void {
    this.at += by;
    this.show();
  }

  private async play(): Promise<void> {
    this.playing = true;
    this.results.delete(this.at);
    this.show();
    try {
      this.results.set(this.at, await api.step(this.at));
    } catch (problem) {
      this.results.set(this.at, problem instanceof Error ? problem.message : String(problem));
    } finally {
      this.playing = false;
      this.show();
    }
  }
}

function outcome(tried: Tried): HTMLLIElement {
  const good = tried.mistakes.length === 0;
  return h("li", { class: tried.passed ? "good" : "bad" },
    `${tried.passed ? "✓" : "✗"} ${tried.title}: ${tried.outcome}`,
    tried.summary && h("div", { class: "faint" }, tried.summary),
    h("div", { class: good ? "faint" : "problem" }, good ? t("asTold") : `${t("notAsTold")}: ${tried.mistakes.join("; ")}`));
}
