// The circles of the picture: namespaces, workloads in them, and who is known from flows alone.

import { s } from "../dom";
import { t } from "../i18n";
import type { Node } from "../types";
import { WORLD, type Layout } from "./layout";

/** Keeps Enter and Space for what has the focus. */
export function pressed(event: KeyboardEvent, act: () => void): void {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  act();
}

/** A workload of which there is only an id, as flows of pods that are gone have it: `namespace/kind/name`. */
export function gone(id: string): Node {
  const [namespace = "", kind = "", ...name] = id.split("/");
  return { id, namespace, kind, name: name.join("/"), labels: {}, pods: [], isolated: { ingress: false, egress: false } };
}

/** Every circle, where the layout places it. */
export function circles(places: Layout, nodes: Node[], choose: (node: Node) => void): SVGGElement[] {
  const all = [...places.namespaces].map(([name, { x, y, r }]) => s("g", { class: "namespace" },
    s("circle", { cx: x, cy: y, r }),
    s("text", { x, y: y - r - 8, "text-anchor": "middle" }, name)));
  all.push(...nodes.map((node) => workload(places, node, () => choose(node))));
  const outside = places.nodes.get(WORLD);
  if (outside) {
    all.push(s("g", { class: "workload outside", "data-id": WORLD, transform: `translate(${outside.x},${outside.y})` },
      s("circle", { r: outside.r }), s("text", { y: 5, "text-anchor": "middle", class: "name" }, t("world"))));
  }
  return all;
}

function workload(places: Layout, node: Node, choose: () => void): SVGGElement {
  const { x, y, r } = places.nodes.get(node.id) ?? { x: 0, y: 0, r: 0 };
  const closed = [node.isolated.ingress && "ingress", node.isolated.egress && "egress"].filter(Boolean);
  const lost = node.pods.length === 0;
  const name = [`${node.kind} ${node.namespace}/${node.name}`, closed.length && `${t("isolated")}: ${closed.join(" ")}`, lost && t("gone")]
    .filter(Boolean).join(", ");
  return s("g", {
    class: `workload ${lost ? "gone" : closed.join(" ")}`, "data-id": node.id, transform: `translate(${x},${y})`, tabindex: 0, role: "button",
    "aria-label": name, onclick: choose, onkeydown: (event: KeyboardEvent) => pressed(event, choose),
  },
    s("title", {}, name),
    s("circle", { r }),
    closed.includes("ingress") && s("circle", { r: r + 5, class: "wall" }),
    s("text", { y: 5, "text-anchor": "middle", class: "name" }, short(node.name)),
    lost && s("text", { y: 20, "text-anchor": "middle", class: "faint" }, t("gone")),
    node.pods.length > 1 && s("text", { y: 20, "text-anchor": "middle", class: "faint" }, `× ${node.pods.length}`));
}

/** What fits into a circle; the whole name is its title. */
function short(name: string): string { return name.length > 11 ? `${name.slice(0, 10)}…` : name; }
