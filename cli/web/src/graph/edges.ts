// Edges as they are drawn: all ports between two workloads with one verdict are one arrow with one label,
// on a curve that is computed here, so that nobody has to ask the browser where a point of it lies.

import type { Edge, Verdict } from "../types";
import type { Circle } from "./layout";

/** An arrow. */
export interface Arrow {
  id: string;
  from: string;
  to: string;
  verdict: Verdict;
  at: Edge["at"];
  predicted: boolean;
  edges: Edge[];
}

export interface Point { x: number; y: number }

/** An arrow's line. */
export interface Curve {
  d: string;
  /** The point at a part of the way, from 0 to 1. */
  at(part: number): Point;
}

/** The id of the arrow that an edge is drawn as. */
export function arrowOf({ from, to, verdict, at }: Edge): string { return `${from}>${to}>${verdict}${at ?? ""}`; }

/** Groups edges into arrows. */
export function arrows(edges: Iterable<Edge>): Map<string, Arrow> {
  const found = new Map<string, Arrow>();
  for (const edge of edges) {
    if (edge.from === edge.to) continue;
    const id = arrowOf(edge);
    const arrow = found.get(id);
    if (arrow) {
      arrow.edges.push(edge);
      arrow.predicted &&= edge.predicted;
    } else {
      const { from, to, verdict, at, predicted } = edge;
      found.set(id, { id, from, to, verdict, at, predicted, edges: [edge] });
    }
  }
  return found;
}

/** `TCP 80 · 3/s, UDP 53`; at most three ports. */
export function label(arrow: Arrow): string {
  const ports = [...arrow.edges].sort((a, b) => b.rate - a.rate || a.port - b.port).map((edge) => {
    const rate = edge.rate >= 0.05 ? ` · ${edge.rate >= 10 ? Math.round(edge.rate) : edge.rate.toFixed(1)}/s` : "";
    return `${edge.protocol}${edge.port ? ` ${edge.port}` : ""}${rate}`;
  });
  return ports.length > 3 ? `${ports.slice(0, 3).join(", ")} +${ports.length - 3}` : ports.join(", ");
}

/** The line from border to border, bent so that both ways, and allowed and blocked, stay apart. */
export function curve(from: Circle, to: Circle, verdict: Verdict): Curve {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / length, dy / length];
  const bend = (verdict === "allowed" ? 0.1 : 0.2) * Math.min(length, 260);
  const [nx, ny] = [-uy * bend, ux * bend];
  const [cx, cy] = [(from.x + to.x) / 2 + nx, (from.y + to.y) / 2 + ny];
  const leave = border(from, cx, cy, 2);
  const enter = border(to, cx, cy, 8);
  return {
    d: `M${round(leave.x)},${round(leave.y)}Q${round(cx)},${round(cy)} ${round(enter.x)},${round(enter.y)}`,
    at: (part) => {
      const [a, b, c] = [(1 - part) ** 2, 2 * part * (1 - part), part ** 2];
      return { x: round(a * leave.x + b * cx + c * enter.x), y: round(a * leave.y + b * cy + c * enter.y) };
    },
  };
}

function border(circle: Circle, x: number, y: number, gap: number): Point {
  const length = Math.hypot(x - circle.x, y - circle.y) || 1;
  const reach = (circle.r + gap) / length;
  return { x: circle.x + (x - circle.x) * reach, y: circle.y + (y - circle.y) * reach };
}

function round(value: number): number { return Math.round(value * 10) / 10; }
