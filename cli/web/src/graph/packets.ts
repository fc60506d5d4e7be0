// A packet seen to travel: a dot along its arrow, which goes through, or stops with a flash where the
// sidecar stopped it. Dots lie on a layer of their own above the picture and are moved by the browser's
// compositor, so that none of them draws the picture anew. Bounded: many flows cost no more than a few.

import { h } from "../dom";
import type { Arrow, Curve } from "./edges";

/** Dots in flight at most, and the least time between two on one arrow. */
const MOST = 24;
const APART_MS = 600;
const TRAVEL_MS = 700;
/** How long a stopped one flashes. */
const FLASH_MS = 420;
/** Straight pieces that a bent way is made of. */
const PIECES = 8;

/** Where along its way a packet stops: just out of its source, or just short of its destination. */
export const STOP = { egress: 0.16, ingress: 0.84 };

export class Packets {
  readonly element = h("div", { class: "packets", "aria-hidden": "true" });
  private flying = 0;
  private last = new Map<string, number>();
  private still = matchMedia("(prefers-reduced-motion: reduce)");

  /** Sends a dot along an arrow, if there is room. */
  send(arrow: Arrow, curve: Curve): void {
    const now = performance.now();
    if (this.still.matches || document.hidden || this.flying >= MOST) return;
    if (now - (this.last.get(arrow.id) ?? -Infinity) < APART_MS) return;
    this.last.set(arrow.id, now);
    const blocked = arrow.verdict === "blocked";
    const until = blocked ? STOP[arrow.at ?? "ingress"] : 1;
    const way = Array.from({ length: PIECES + 1 }, (_, piece) => {
      const { x, y } = curve.at((until * piece) / PIECES);
      return { transform: `translate(${x}px,${y}px)` };
    });
    const dot = h("i", { class: `packet ${arrow.verdict}` });
    this.element.append(dot);
    this.flying += 1;
    const gone = () => {
      dot.remove();
      this.flying -= 1;
    };
    dot.animate(way, { duration: TRAVEL_MS, fill: "forwards" }).onfinish = () => {
      if (!blocked) return gone();
      dot.classList.add("stopped");
      setTimeout(gone, FLASH_MS);
    };
  }

  /** Follows the picture as it is moved and zoomed. */
  moved({ x, y, k }: { x: number; y: number; k: number }): void {
    this.element.style.transform = `translate(${x}px,${y}px) scale(${k})`;
  }

  /** Forgets arrows that are no more. */
  keep(arrows: ReadonlyMap<string, Arrow>): void {
    for (const id of this.last.keys()) if (!arrows.has(id)) this.last.delete(id);
  }
}
