// Talks to the server: JSON over fetch, and one stream of server-sent events. Writes carry the token that
// the page was served with, so that no other page can make them.

import type { Edge, FlowBatch, Hits, Mistake, Preview, State, Tried, Why } from "./types";

/** A refusal with the server's own words; `mistakes` when a manifest was wrong. */
export class Refused extends Error {
  constructor(message: string, readonly mistakes: Mistake[]) { super(message); }
}

const token = document.querySelector<HTMLMetaElement>("meta[name=sidewall-token]")?.content ?? "";

async function request<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = {};
  if (method !== "GET") headers["x-sidewall-token"] = token;
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(`/api/v1/${path}`, {
    method, headers, body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  if (answer.ok) return (text ? JSON.parse(text) : null) as T;
  let refused: { error?: string; mistakes?: Mistake[] } = {};
  try { refused = JSON.parse(text); } catch { /* no JSON: the text itself is the message */ }
  throw new Refused(refused.error ?? (text || answer.statusText), refused.mistakes ?? []);
}

const query = (values: Record<string, string>) => new URLSearchParams(values).toString();

export const api = {
  state: () => request<State>("GET", "state"),
  why: (from: string, to: string, protocol: string, port: number) =>
    request<Why>("GET", `why?${query({ from, to, protocol, port: String(port) })}`),
  flowsUrl: (filter: string) => `/api/v1/flows?${query({ filter })}`,
  checkFilter: (filter: string) => request<unknown>("GET", `flows?${query({ filter, last: "0" })}`),
  preview: (yaml: string) => request<Preview>("POST", "policies:preview", { yaml }),
  apply: (yaml: string) => request<null>("POST", "policies", { yaml }),
  remove: (id: string) => request<null>("DELETE", `policies/${id.split("/").map(encodeURIComponent).join("/")}`),
  reset: () => request<null>("POST", "reset"),
  connect: (from: string, to: string, protocol: string, port: number) =>
    request<Tried>("POST", "probe", { from, to, protocol, port }),
  resolve: (from: string, name: string) => request<Tried>("POST", "probe", { from, resolve: name }),
  step: (step: number) => request<Tried[]>("POST", "tour", { step }),
};

/** What the stream brings. */
export interface Listener {
  state(version: number): void;
  edges(edges: Edge[]): void;
  flows(batch: FlowBatch): void;
  hits(hits: Hits[]): void;
  up(connected: boolean): void;
}

/** Opens the stream; the browser opens it again by itself when it breaks. */
export function listen(filter: string, listener: Listener): () => void {
  const source = new EventSource(`/api/v1/events?${query({ filter })}`);
  const on = <T>(name: string, take: (data: T) => void) =>
    source.addEventListener(name, (event) => take(JSON.parse((event as MessageEvent<string>).data) as T));
  on<{ version: number }>("state", ({ version }) => listener.state(version));
  on<Edge[]>("edges", (edges) => listener.edges(edges));
  on<FlowBatch>("flows", (batch) => listener.flows(batch));
  on<Hits[]>("hits", (hits) => listener.hits(hits));
  source.onopen = () => listener.up(true);
  source.onerror = () => listener.up(false);
  return () => source.close();
}
