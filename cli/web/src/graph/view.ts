// The picture: namespaces, workloads and arrows in one SVG, packets on a layer above it. It keeps elements
// by id and changes only what changed; everything in it can be reached with the keyboard, is named for
// screen readers, and keeps the focus while flows come.

import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior } from "d3-zoom";
import { h, s, swap } from "../dom";
import { t } from "../i18n";
import type { Edge, Node, State } from "../types";
import { arrowOf, arrows, curve, label, type Arrow, type Curve } from "./edges";
import { layout, WORLD, type Layout } from "./layout";
import { Packets, STOP } from "./packets";
import { circles, gone, pressed } from "./workloads";

/** How often the numbers on the arrows change: nobody reads faster. */
const NUMBERS_MS = 1000;

interface Drawn { group: SVGGElement; text: SVGTextElement; curve: Curve; shown: string }

export interface Chosen {
  edge(edge: Edge): void;
  node(node: Node): void;
}

export class Picture {
  readonly element = h("div", { class: "view" });
  private svg: SVGSVGElement;
  private circles = s("g", { class: "circles" });
  private lines = s("g", { class: "lines" });
  private packets = new Packets();
  private drawn = new Map<string, Drawn>();
  private arrows = new Map<string, Arrow>();
  private nodes: Node[] = [];
  /** Ends that only flows tell of. */
  private strangers = new Set<string>();
  private places: Layout = layout([], false);
  private placed = "";
  private shown = 0;
  private marked: string[] = [];
  private numbers: number | undefined;
  private zoom: ZoomBehavior<SVGSVGElement, unknown>;

  constructor(private chosen: Chosen) {
    const stage = s("g", {}, this.circles, this.lines);
    this.svg = s("svg", { class: "picture", role: "group", tabindex: 0, "aria-label": t("picture") },
      s("defs", {}, ...["allowed", "blocked", "audit"].map((verdict) =>
        s("marker", { id: `tip-${verdict}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
          s("path", { d: "M0,0L8,4L0,8z", class: `tip ${verdict}` })))),
      stage);
    this.zoom = zoom<SVGSVGElement, unknown>().scaleExtent([0.15, 4]).on("zoom", ({ transform }) => {
      stage.setAttribute("transform", String(transform));
      this.packets.moved(transform);
    });
    select(this.svg).call(this.zoom).on("dblclick.zoom", null);
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.element.append(this.svg, this.packets.element);
  }

  /** Draws the workloads of a new state, and the arrows between them. */
  state(state: State, edges: Map<string, Edge>): void {
    this.nodes = state.nodes;
    this.arrows = arrows(edges.values());
    this.strangers = new Set(this.strange());
    this.place();
    this.connect();
  }

  /** Draws the arrows that these edges make, and takes away those that are no more. */
  edges(edges: Map<string, Edge>): void {
    this.arrows = arrows(edges.values());
    const strange = this.strange();
    if (strange.some((id) => !this.strangers.has(id))) {
      this.strangers = new Set([...this.strangers, ...strange]);
      this.place();
    }
    this.connect();
  }

  /** Draws all of it anew with the next state, as after a change of language. */
  forget(): void {
    this.placed = "";
    this.svg.setAttribute("aria-label", t("picture"));
  }

  /** Lets a packet be seen on the arrow of an edge. */
  packet(edge: Edge): void {
    const id = arrowOf(edge);
    const [arrow, drawn] = [this.arrows.get(id), this.drawn.get(id)];
    if (arrow && drawn) this.packets.send(arrow, drawn.curve);
  }

  /** Marks workloads, such as those that a policy selects. */
  highlight(nodes: string[]): void {
    this.marked = nodes;
    for (const element of this.circles.querySelectorAll<SVGGElement>(".workload")) {
      element.classList.toggle("marked", nodes.includes(element.dataset["id"] ?? ""));
    }
    this.svg.classList.toggle("marking", nodes.length > 0);
  }

  /** Shows all of it. */
  fit(): void {
    const { x, y, width, height } = this.places.bounds;
    const [w, h] = [this.svg.clientWidth || 800, this.svg.clientHeight || 600];
    const scale = Math.min(w / (width || 1), h / (height || 1), 2);
    select(this.svg).call(this.zoom.transform,
      zoomIdentity.translate(w / 2, h / 2).scale(scale).translate(-(x + width / 2), -(y + height / 2)));
  }

  /** Ends of arrows that are no workload of the cluster as it is now. */
  private strange(): string[] {
    const known = new Set(this.nodes.map((node) => node.id));
    return [...this.arrows.values()].flatMap(({ from, to }) => [from, to]).filter((id) => !known.has(id));
  }

  /** Draws the circles; moves things only if other workloads are there than before. */
  private place(): void {
    const lost = [...this.strangers].filter((id) => id !== WORLD).sort().map(gone);
    const nodes = [...this.nodes, ...lost];
    const world = this.strangers.has(WORLD);
    const now = JSON.stringify([nodes.map((node) => node.id), world]);
    const moved = now !== this.placed;
    if (moved) {
      this.placed = now;
      this.places = layout(nodes, world);
    }
    swap(this.circles, ...circles(this.places, nodes, (node) => this.chosen.node(node)));
    if (this.marked.length) this.highlight(this.marked);
    if (!moved) return;
    // Where the user has moved the picture to is only lost when its shape changes.
    const fresh = this.drawn.size === 0 || this.places.nodes.size !== this.shown;
    this.shown = this.places.nodes.size;
    this.drawn.clear();
    if (fresh) this.fit();
  }

  /** Brings the arrows up to date. */
  private connect(): void {
    const focused = this.lines.contains(document.activeElement) ? document.activeElement as SVGGElement : null;
    for (const id of this.drawn.keys()) if (!this.arrows.has(id)) this.drawn.delete(id);
    const [kept, fresh] = [new Set<Element>(), [] as SVGGElement[]];
    for (const arrow of this.arrows.values()) {
      let drawn = this.drawn.get(arrow.id);
      if (!drawn) {
        drawn = this.draw(arrow);
        if (!drawn) continue;
        this.drawn.set(arrow.id, drawn);
        this.name(arrow, drawn);
        fresh.push(drawn.group);
      } else if (drawn.group.classList.contains("predicted") !== arrow.predicted) {
        this.name(arrow, drawn);
      }
      kept.add(drawn.group);
    }
    for (const group of [...this.lines.children]) if (!kept.has(group)) group.remove();
    this.lines.append(...fresh);
    this.packets.keep(this.arrows);
    this.numbers ??= setTimeout(() => {
      this.numbers = undefined;
      for (const arrow of this.arrows.values()) {
        const drawn = this.drawn.get(arrow.id);
        if (drawn) this.name(arrow, drawn);
      }
    }, NUMBERS_MS);
    // Whoever was on an arrow that turned from green to red is on the red one now.
    if (focused && !focused.isConnected) {
      const { from, to } = focused.dataset;
      const same = [...this.lines.children].find((group) => {
        const { dataset } = group as SVGGElement;
        return dataset["from"] === from && dataset["to"] === to;
      });
      ((same ?? this.svg) as SVGElement).focus({ preventScroll: true });
    }
  }

  /** What an arrow says: its ports and rates, and for screen readers all of it. */
  private name(arrow: Arrow, drawn: Drawn): void {
    const text = label(arrow);
    const shown = `${text}${arrow.predicted}`;
    if (drawn.shown === shown) return;
    drawn.shown = shown;
    drawn.text.textContent = text;
    drawn.group.classList.toggle("predicted", arrow.predicted);
    const where = arrow.verdict === "allowed" ? "" : `, ${t(arrow.at === "egress" ? "atEgress" : "atIngress")}`;
    drawn.group.setAttribute("aria-label",
      `${arrow.from} → ${arrow.to}: ${t(arrow.verdict)}${where}, ${text}${arrow.predicted ? `, ${t("predicted")}` : ""}`);
  }

  private draw(arrow: Arrow): Drawn | undefined {
    const [from, to] = [this.places.nodes.get(arrow.from), this.places.nodes.get(arrow.to)];
    if (!from || !to) return undefined;
    const choose = () => {
      const edge = this.arrows.get(arrow.id)?.edges[0];
      if (edge) this.chosen.edge(edge);
    };
    const line = curve(from, to, arrow.verdict);
    const [middle, stop] = [line.at(0.5), line.at(STOP[arrow.at ?? "ingress"])];
    const text = s("text", { x: middle.x, y: middle.y - 6, "text-anchor": "middle" });
    const group = s("g", {
      class: `edge ${arrow.verdict}`, "data-from": arrow.from, "data-to": arrow.to, "data-verdict": arrow.verdict, "data-at": arrow.at ?? "",
      tabindex: 0, role: "button", onclick: choose, onkeydown: (event: KeyboardEvent) => pressed(event, choose),
    },
      s("path", { d: line.d, class: "hit" }),
      s("path", { d: line.d, class: "line", "marker-end": `url(#tip-${arrow.verdict})` }),
      text,
      arrow.verdict !== "allowed" &&
        s("path", { d: "M-7,-7L7,7M-7,7L7,-7", class: "cross", transform: `translate(${stop.x},${stop.y})` }));
    return { group, text, curve: line, shown: "" };
  }

  private key(event: KeyboardEvent): void {
    const drawing = select(this.svg);
    if (event.key === "+") drawing.call(this.zoom.scaleBy, 1.25);
    else if (event.key === "-") drawing.call(this.zoom.scaleBy, 0.8);
    else if (event.key === "0") this.fit();
    else if (event.key.startsWith("Arrow")) this.move(event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : -1);
    else return;
    event.preventDefault();
  }

  /** Arrows of the keyboard go from one thing to the next. */
  private move(by: number): void {
    const all = [...this.svg.querySelectorAll<SVGGElement>("[tabindex='0']")];
    const at = all.indexOf(document.activeElement as SVGGElement);
    all[(at + by + all.length) % all.length]?.focus();
  }
}
