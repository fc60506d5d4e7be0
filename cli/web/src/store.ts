// What the page knows, and who wants to hear of it. Streams fill it; drawing happens once per frame
// however much came in between.

import { api, listen } from "./api";
import type { Edge, Flow, State } from "./types";

/** Rows kept in the table; the server keeps more, for the export. */
const ROWS = 500;

export interface Change { state?: boolean; hits?: boolean; edges?: boolean; flows?: Flow[]; connection?: boolean }

export class Store {
  state: State | null = null;
  edges = new Map<string, Edge>();
  rows: Flow[] = [];
  skipped = 0;
  connected = true;
  filter = "";
  private pending: Required<Pick<Change, "flows">> & Change = { flows: [] };
  private asked = false;
  private close: (() => void) | null = null;
  private loading = false;
  private stale = false;

  constructor(private draw: (change: Change) => void) {}

  /** Opens the stream with a filter for the flows of the table. */
  open(filter: string): void {
    this.close?.();
    this.filter = filter;
    this.rows = [];
    this.skipped = 0;
    this.edges.clear();
    this.close = listen(filter, {
      state: () => void this.load(),
      edges: (edges) => {
        for (const edge of edges) {
          if (edge.count === 0) this.edges.delete(edge.id);
          else this.edges.set(edge.id, edge);
        }
        this.soon({ edges: true });
      },
      flows: ({ rows, skipped }) => {
        this.skipped += skipped;
        this.rows = [...rows.slice().reverse(), ...this.rows].slice(0, ROWS);
        this.pending.flows.push(...rows);
        this.soon({});
      },
      hits: (hits) => {
        const counts = new Map(hits.map((hit) => [hit.id, hit]));
        for (const policy of this.state?.policies ?? []) Object.assign(policy, counts.get(policy.id));
        this.soon({ hits: true });
      },
      up: (connected) => {
        this.connected = connected;
        this.soon({ connection: true });
      },
    });
    this.soon({ edges: true });
  }

  /** Fetches the state; one request at a time, and once more if it changed meanwhile. */
  async load(): Promise<void> {
    if (this.loading) {
      this.stale = true;
      return;
    }
    this.loading = true;
    try {
      do {
        this.stale = false;
        this.state = await api.state();
        this.soon({ state: true });
      } while (this.stale);
    } finally {
      this.loading = false;
    }
  }

  private soon(change: Change): void {
    this.pending = { ...this.pending, ...change, flows: this.pending.flows };
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      const now = this.pending;
      this.asked = false;
      this.pending = { flows: [] };
      this.draw(now);
    });
  }
}
