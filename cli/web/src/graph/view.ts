// The picture: namespaces, workloads and arrows in one SVG. It keeps elements by id and changes only what
// changed; everything in it can be reached with the keyboard and is named for screen readers.

import { select } from "d3-selection";
import { zoom, zoomIdentity, type ZoomBehavior } from "d3-zoom";
import { s, swap } from "../dom";
import { t } from "../i18n";
import type { Edge, Node, State } from "../types";
import { arrows, label, path, type Arrow } from "./edges";
import { layout, WORLD, type Layout } from "./layout";
import { Packets, STOP } from "./packets";

interface Drawn { group: SVGGElement; line: SVGPathElement; hit: SVGPathElement; text: SVGTextElement; cross: SVGPathElement; shown: string }

export interface Chosen {
  edge(edge: Edge): void;
  node(node: Node): void;
}

export class Picture {
  readonly element: SVGSVGElement;
  private stage = s("g", {});
  private circles = s("g", { class: "circles" });
  private lines = s("g", { class: "lines" });
  private dots = s("g", { class: "dots", "aria-hidden": "true" });
  private drawn = new Map<string, Drawn>();
  private arrows = new Map<string, Arrow>();
  private places: Layout = layout([], false);
  private placed = "";
  private shown = 0;
  private packets = new Packets(this.dots);
  private zoom: ZoomBehavior<SVGSVGElement, unknown>;

  constructor(private chosen: Chosen) {
    this.element = s("svg", { class: "picture", role: "group", tabindex: 0, "aria-label": t("picture") },
      s("defs", {}, ...["allowed", "blocked", "audit"].map((verdict) =>
        s("marker", { id: `tip-${verdict}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
          s("path", { d: "M0,0L8,4L0,8z", class: `tip ${verdict}` })))),
      this.stage);
    this.stage.append(this.circles, this.lines, this.dots);
    this.zoom = zoom<SVGSVGElement, unknown>().scaleExtent([0.15, 4])
      .on("zoom", (event) => this.stage.setAttribute("transform", String(event.transform)));
    select(this.element).call(this.zoom).on("dblclick.zoom", null);
    this.element.addEventListener("keydown", (event) => this.key(event));
  }

  /** Draws workloads anew when they changed. */
  state(state: State, edges: Map<string, Edge>): void {
    const world = [...edges.values()].some((edge) => edge.from === WORLD || edge.to === WORLD);
    const now = JSON.stringify([state.nodes.map((node) => node.id), world]);
    const moved = now !== this.placed;
    if (moved) {
      this.placed = now;
      this.places = layout(state.nodes, world);
    }
    swap(this.circles,
      ...[...this.places.namespaces].map(([name, { x, y, r }]) => s("g", { class: "namespace" },
        s("circle", { cx: x, cy: y, r }),
        s("text", { x, y: y - r - 8, "text-anchor": "middle" }, name))),
      ...state.nodes.map((node) => this.workload(node)),
      world && this.outside());
    if (moved) {
      // Where the user has moved the picture to is only lost when its shape changes.
      const fresh = this.drawn.size === 0 || this.places.nodes.size !== this.shown;
      this.shown = this.places.nodes.size;
      for (const drawn of this.drawn.values()) drawn.group.remove();
      this.drawn.clear();
      if (fresh) this.fit();
    }
    this.edges(edges);
  }

  /** Draws the arrows that these edges make, and takes away those that are no more. */
  edges(edges: Map<string, Edge>): void {
    this.arrows = arrows(edges.values());
    for (const [id, drawn] of this.drawn) {
      if (!this.arrows.has(id)) {
        drawn.group.remove();
        this.drawn.delete(id);
      }
    }
    for (const arrow of this.arrows.values()) this.arrow(arrow);
  }

  /** Draws all of it anew with the next state, as after a change of language. */
  forget(): void {
    this.placed = "";
    this.element.setAttribute("aria-label", t("picture"));
  }

  /** Lets a packet be seen on the arrow of an edge. */
  packet(edge: Edge): void {
    const id = `${edge.from}>${edge.to}>${edge.verdict}${edge.at ?? ""}`;
    const [arrow, drawn] = [this.arrows.get(id), this.drawn.get(id)];
    if (arrow && drawn) this.packets.send(arrow, drawn.line);
  }

  /** Marks workloads, such as those that a policy selects. */
  highlight(nodes: string[]): void {
    for (const element of this.circles.querySelectorAll(".workload")) {
      element.classList.toggle("marked", nodes.includes(element.getAttribute("data-id") ?? ""));
    }
    this.element.classList.toggle("marking", nodes.length > 0);
  }

  /** Shows all of it. */
  fit(): void {
    const { x, y, width, height } = this.places.bounds;
    const [w, h] = [this.element.clientWidth || 800, this.element.clientHeight || 600];
    const scale = Math.min(w / (width || 1), h / (height || 1), 2);
    select(this.element).call(this.zoom.transform,
      zoomIdentity.translate(w / 2, h / 2).scale(scale).translate(-(x + width / 2), -(y + height / 2)));
  }

  private workload(node: Node): SVGGElement {
    const { x, y, r } = this.places.nodes.get(node.id) ?? { x: 0, y: 0, r: 0 };
    const closed = [node.isolated.ingress && "ingress", node.isolated.egress && "egress"].filter(Boolean);
    const name = `${node.kind} ${node.namespace}/${node.name}${closed.length ? `, ${t("isolated")}: ${closed.join(" ")}` : ""}`;
    const choose = () => this.chosen.node(node);
    return s("g", {
      class: `workload ${closed.join(" ")}`, "data-id": node.id, transform: `translate(${x},${y})`, tabindex: 0, role: "button",
      "aria-label": name, onclick: choose, onkeydown: (event: KeyboardEvent) => pressed(event, choose),
    },
      s("title", {}, name),
      s("circle", { r }),
      closed.includes("ingress") && s("circle", { r: r + 5, class: "wall" }),
      s("text", { y: 5, "text-anchor": "middle", class: "name" }, short(node.name)),
      node.pods.length > 1 && s("text", { y: 20, "text-anchor": "middle", class: "faint" }, `× ${node.pods.length}`));
  }

  private outside(): SVGGElement | null {
    const place = this.places.nodes.get(WORLD);
    return place ? s("g", { class: "workload outside", "data-id": WORLD, transform: `translate(${place.x},${place.y})` },
      s("circle", { r: place.r }), s("text", { y: 5, "text-anchor": "middle", class: "name" }, t("world"))) : null;
  }

  private arrow(arrow: Arrow): void {
    const [from, to] = [this.places.nodes.get(arrow.from), this.places.nodes.get(arrow.to)];
    if (!from || !to) return;
    let drawn = this.drawn.get(arrow.id);
    if (!drawn) {
      drawn = this.draw(arrow, path(from, to, arrow.verdict));
      this.drawn.set(arrow.id, drawn);
      this.lines.append(drawn.group);
    }
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

  private draw(arrow: Arrow, { d, middle }: ReturnType<typeof path>): Drawn {
    const choose = () => {
      const edge = this.arrows.get(arrow.id)?.edges[0];
      if (edge) this.chosen.edge(edge);
    };
    const line = s("path", { d, class: "line", "marker-end": `url(#tip-${arrow.verdict})` });
    const hit = s("path", { d, class: "hit" });
    const text = s("text", { x: middle.x, y: middle.y - 6, "text-anchor": "middle" });
    const cross = s("path", { d: "M-7,-7L7,7M-7,7L7,-7", class: "cross" });
    const group = s("g", {
      class: `edge ${arrow.verdict}`, "data-from": arrow.from, "data-to": arrow.to, "data-verdict": arrow.verdict, "data-at": arrow.at ?? "",
      tabindex: 0, role: "button", onclick: choose, onkeydown: (event: KeyboardEvent) => pressed(event, choose),
    }, hit, line, text);
    if (arrow.verdict !== "allowed") {
      const stop = line.getPointAtLength(line.getTotalLength() * STOP[arrow.at ?? "ingress"]);
      cross.setAttribute("transform", `translate(${stop.x},${stop.y})`);
      group.append(cross);
    }
    return { group, line, hit, text, cross, shown: "" };
  }

  private key(event: KeyboardEvent): void {
    const drawing = select(this.element);
    if (event.key === "+") drawing.call(this.zoom.scaleBy, 1.25);
    else if (event.key === "-") drawing.call(this.zoom.scaleBy, 0.8);
    else if (event.key === "0") this.fit();
    else if (event.key.startsWith("Arrow")) this.move(event.key === "ArrowRight" || event.key === "ArrowDown" ? 1 : -1);
    else return;
    event.preventDefault();
  }

  /** Arrows of the keyboard go from one thing to the next. */
  private move(by: number): void {
    const all = [...this.element.querySelectorAll<SVGGElement>("[tabindex='0']")];
    const at = all.indexOf(document.activeElement as SVGGElement);
    all[(at + by + all.length) % all.length]?.focus();
  }
}

/** What fits into a circle; the whole name is its title. */
function short(name: string): string { return name.length > 11 ? `${name.slice(0, 10)}…` : name; }

function pressed(event: KeyboardEvent, act: () => void): void {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  act();
}
