// Where everything stands: workloads as circles packed into their namespaces, those packed beside each
// other, and what is outside of the cluster to the left. It depends on the workloads alone, in the order
// of their names, so it does not move while flows come.

import { hierarchy, pack, type HierarchyCircularNode } from "d3-hierarchy";
import type { Node } from "../types";

export interface Circle { x: number; y: number; r: number }

export interface Layout {
  namespaces: Map<string, Circle>;
  nodes: Map<string, Circle>;
  bounds: { x: number; y: number; width: number; height: number };
}

interface Datum { id: string; children?: Datum[] }

/** The id of what is outside of the cluster. */
export const WORLD = "world";

const NODE = 40;
/** Room between circles for edges and their labels; less where there are many. */
const ROOMY = { upTo: 12, nodes: 130, namespaces: 90 };
const USUAL = { upTo: 40, nodes: 74, namespaces: 70 };
const CROWDED = { nodes: 36, namespaces: 50 };

/** Places everything; `world` only if something outside has been seen. */
export function layout(nodes: Node[], world: boolean): Layout {
  const names = [...new Set(nodes.map((node) => node.namespace))].sort();
  const root: Datum = {
    id: "",
    children: names.map((name) => ({
      id: name,
      children: nodes.filter((node) => node.namespace === name)
        .sort((a, b) => a.id.localeCompare(b.id)).map((node) => ({ id: node.id })),
    })),
  };
  const tree = hierarchy(root).sum((datum) => (datum.children ? 0 : 1));
  const room = [ROOMY, USUAL].find(({ upTo }) => nodes.length <= upTo) ?? CROWDED;
  const packed = pack<Datum>().radius(() => NODE)
    .padding((node) => (node.depth === 0 ? room.namespaces : room.nodes))(tree);
  const places: Layout = {
    namespaces: new Map(), nodes: new Map(), bounds: { x: 0, y: 0, width: 0, height: 0 },
  };
  const at = (node: HierarchyCircularNode<Datum>): Circle => ({ x: node.x, y: node.y, r: node.r });
  for (const node of packed.descendants()) {
    if (node.depth === 1) places.namespaces.set(node.data.id, { ...at(node), r: node.r + 18 });
    if (node.depth === 2) places.nodes.set(node.data.id, at(node));
  }
  const all = [...places.namespaces.values()];
  let left = Math.min(...all.map(({ x, r }) => x - r));
  const [right, top, bottom] = [
    Math.max(...all.map(({ x, r }) => x + r)), Math.min(...all.map(({ y, r }) => y - r)), Math.max(...all.map(({ y, r }) => y + r)),
  ];
  if (world) {
    left -= 170;
    places.nodes.set(WORLD, { x: left + 60, y: (top + bottom) / 2, r: NODE });
  }
  // A namespace's name stands above its circle.
  if (all.length) places.bounds = { x: left - 20, y: top - 50, width: right - left + 40, height: bottom - top + 70 };
  return places;
}
