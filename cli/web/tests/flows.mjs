// Made-up flows of a made-up cluster, for tests and for the measurement: workloads of ten pods each.

const PER_WORKLOAD = 10;
const NAMESPACES = 6;

const workload = (pod) => Math.floor(pod / PER_WORKLOAD);
const namespace = (pod) => `team-${workload(pod) % NAMESPACES}`;
const address = (pod) => `10.244.${Math.floor(pod / 250)}.${(pod % 250) + 1}`;

/** The pods as YAML. */
export function manifests(pods) {
  return Array.from({ length: pods }, (_, pod) => `apiVersion: v1
kind: Pod
metadata:
  namespace: ${namespace(pod)}
  name: app-${workload(pod)}-${pod}
  labels: {app: app-${workload(pod)}}
  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: app-${workload(pod)}, uid: w${workload(pod)}, controller: true}]
spec: {containers: [{name: app, image: app}]}
status: {phase: Running, podIPs: [{ip: ${address(pod)}}]}
`).join("---\n");
}

function side(pod) {
  return {
    namespace: namespace(pod), pod_name: `app-${workload(pod)}-${pod}`, labels: [`k8s:app=app-${workload(pod)}`],
    workloads: [{ kind: "StatefulSet", name: `app-${workload(pod)}` }],
  };
}

/** A flow as a sidecar would log it. `number` chooses its ends. */
export function line(number, { pods = 2, summary = "Allowed: no policy isolates it.", verdict = "FORWARDED" } = {}) {
  const from = (number * 7) % pods;
  const to = (from + PER_WORKLOAD * (1 + (number % 3)) + 1) % pods;
  const time = new Date().toISOString();
  return {
    flow: {
      time, verdict, Type: "L3_L4", traffic_direction: "INGRESS", event_type: { type: verdict === "DROPPED" ? 1 : 5 }, is_reply: false,
      IP: { source: address(from), destination: address(to), ipVersion: "IPv4" },
      l4: { TCP: { source_port: 30000 + (number % 20000), destination_port: 8080, flags: { SYN: true } } },
      source: side(from), destination: side(to), node_name: "node-1", Summary: "TCP Flags: SYN",
      ...(verdict === "DROPPED" ? { drop_reason_desc: "POLICY_DENIED" } : {}),
    },
    node_name: "node-1", time,
    why: { verdict: { [verdict === "DROPPED" ? "block" : "allow"]: verdict === "DROPPED" ? "no-rule" : "not-isolated" }, isolatedBy: [], summary },
    sidewall: { kind: "new", verdict: verdict === "DROPPED" ? "no-rule" : "not-isolated", generation: 1 },
  };
}

/** Writes so many flows a second, for so many seconds. */
export async function flood(input, perSecond, seconds, pods = 300) {
  const began = Date.now();
  for (let sent = 0; sent < perSecond * seconds;) {
    const due = Math.min(perSecond * seconds, Math.ceil(((Date.now() - began) / 1000) * perSecond));
    let text = "";
    for (; sent < due; sent += 1) {
      const verdict = sent % 5 === 0 ? "DROPPED" : "FORWARDED";
      text += `${JSON.stringify(line(sent, { pods, verdict, summary: `flow ${sent}` }))}\n`;
    }
    if (text && !input.write(text)) await new Promise((resolve) => input.once("drain", resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
