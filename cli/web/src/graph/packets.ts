// A packet seen to travel: a dot along its arrow, which goes through, or stops with a flash where the
// sidecar stopped it. Bounded, so that many flows cost no more than a few.

import { s } from "../dom";
import type { Arrow } from "./edges";

/** Dots in flight at most, and the least time between two on one arrow. */
const MOST = 24;
const APART_MS = 600;
const TRAVEL_MS = 700;

/** Where along its way a packet stops: just out of its source, or just short of its destination. */
export const STOP = { egress: 0.16, ingress: 0.84 };

interface Dot { element: SVGCircleElement; line: SVGPathElement; length: number; began: number; until: number; blocked: boolean }

export class Packets {
  private dots: Dot[] = [];
  private last = new Map<string, number>();
  private running = false;
  private still = matchMedia("(prefers-reduced-motion: reduce)");

  constructor(private layer: SVGGElement) {}

  /** Sends a dot along an arrow, if there is room. */
  send(arrow: Arrow, line: SVGPathElement): void {
    const now = performance.now();
    if (this.still.matches || document.hidden || this.dots.length >= MOST) return;
    if (now - (this.last.get(arrow.id) ?? -Infinity) < APART_MS) return;
    this.last.set(arrow.id, now);
    const blocked = arrow.verdict === "blocked";
    const element = s("circle", { r: 5, class: `packet ${arrow.verdict}` });
    this.layer.append(element);
    this.dots.push({
      element, line, blocked, began: now, length: line.getTotalLength(),
      until: blocked ? STOP[arrow.at ?? "ingress"] : 1,
    });
    if (!this.running) {
      this.running = true;
      requestAnimationFrame((time) => this.frame(time));
    }
  }

  private frame(now: number): void {
    this.dots = this.dots.filter((dot) => {
      const part = Math.min((now - dot.began) / TRAVEL_MS, 1);
      const over = (now - dot.began) > TRAVEL_MS * (dot.blocked ? 1.6 : 1);
      if (over || !dot.line.isConnected) {
        dot.element.remove();
        return false;
      }
      const { x, y } = dot.line.getPointAtLength(dot.length * Math.max(0, part) * dot.until);
      dot.element.setAttribute("transform", `translate(${x},${y})`);
      dot.element.classList.toggle("stopped", dot.blocked && part === 1);
      return true;
    });
    this.running = this.dots.length > 0;
    if (this.running) requestAnimationFrame((time) => this.frame(time));
  }
}
