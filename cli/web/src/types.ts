// What the server says: the shapes of /api/v1, as docs/page.md describes them.

export interface Text { en: string; ja: string }

export interface State {
  version: number;
  mode: "demo" | "cluster" | "files";
  can: { probe: boolean; edit: boolean };
  namespaces: { name: string; labels: Record<string, string> }[];
  nodes: Node[];
  policies: Policy[];
  lint: Finding[];
  story: Story | null;
}

/** A workload: pods that came from one template, and so are equal to policies. */
export interface Node {
  id: string;
  namespace: string;
  kind: string;
  name: string;
  labels: Record<string, string>;
  pods: { name: string; addresses: string[] }[];
  isolated: { ingress: boolean; egress: boolean };
}

export interface Policy {
  id: string;
  namespace: string;
  name: string;
  directions: string[];
  selects: string[];
  allowed: number;
  blocked: number;
  yaml: string;
  problem: string | null;
}

export interface Finding {
  rule: string;
  name: string;
  severity: "error" | "warning" | "info";
  object?: { namespace: string; name: string };
  message: string;
  fix: string;
}

export interface Story {
  title: Text;
  step: number;
  steps: { title: Text; text: Text; apply: { name: string; yaml: string }[]; delete: string[]; probes: string[] }[];
}

export type Verdict = "allowed" | "blocked" | "audit";

/** All flows from one workload to another with one protocol and port. */
export interface Edge {
  id: string;
  from: string;
  to: string;
  protocol: string;
  port: number;
  verdict: Verdict;
  /** Where it was stopped: leaving its source or entering its destination. */
  at: "egress" | "ingress" | null;
  count: number;
  /** New flows a second, over the last ten. */
  rate: number;
  /** The verdict is the engine's, on the policies of now; nobody has tried since they changed. */
  predicted: boolean;
  summary: string;
  fromEnd: string;
  toEnd: string;
}

export interface Flow {
  id: number;
  time: string;
  /** The flow's end: nothing was judged. */
  end: boolean;
  verdict: Verdict;
  direction: "egress" | "ingress";
  from: string;
  to: string;
  protocol: string;
  port: number;
  reason: string;
  summary: string;
  edge: string;
  fromEnd: string;
  toEnd: string;
}

export interface FlowBatch { rows: Flow[]; skipped: number }

/** How often a policy decided. */
export interface Hits { id: string; allowed: number; blocked: number }

export interface Why {
  allowed: boolean;
  loopback: boolean;
  egress: Side[];
  ingress: Side[];
  suggestion: string | null;
  hints: string[];
  command: string;
}

/** The answer of one pod's policies, in the words that the log and the command line use. */
export interface Side { pod: string; allowed: boolean; headline: string; lines: string[]; summary: string }

export interface Preview { gained: string[]; lost: string[]; remarks: string[] }

export interface Mistake { line: number; field: string; problem: string }

export interface Tried { passed: boolean; outcome: string; summary: string | null; mistakes: string[]; title: string }
