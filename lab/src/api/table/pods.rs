//! Pods: READY STATUS RESTARTS AGE, and wide: IP NODE NOMINATED-NODE READINESS-GATES.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{AGE, NAME, Printer, age, list, name, text};

pub(super) const PODS: Printer = Printer {
    columns: &[
        NAME,
        ("Ready", "string", 0),
        ("Status", "string", 0),
        ("Restarts", "string", 0),
        AGE,
        ("IP", "string", 1),
        ("Node", "string", 1),
        ("Nominated Node", "string", 1),
        ("Readiness Gates", "string", 1),
    ],
    row,
};

fn row(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let seen = Seen::of(pod);
    let restarts = match &seen.last_restart {
        Some(at) if seen.restarts > 0 => {
            format!(
                "{} ({} ago)",
                seen.restarts,
                super::age::since(&json!(at), now)
            )
        }
        _ => seen.restarts.to_string(),
    };
    let ip = text(&status["podIPs"][0]["ip"], text(&status["podIP"], "<none>"));
    vec![
        name(pod),
        json!(format!("{}/{}", seen.ready, seen.total)),
        json!(seen.word),
        json!(restarts),
        age(pod, now),
        json!(ip),
        json!(text(&spec["nodeName"], "<none>")),
        json!(text(&status["nominatedNodeName"], "<none>")),
        json!(gates(pod)),
    ]
}

/// What the statuses of a pod's containers add up to.
struct Seen {
    word: String,
    ready: usize,
    total: usize,
    restarts: u64,
    last_restart: Option<String>,
}

impl Seen {
    fn of(pod: &Value) -> Seen {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let always = |name: &Value| {
            list(&spec["initContainers"])
                .any(|c| c["name"] == *name && c["restartPolicy"] == "Always")
        };
        let sidecars = list(&spec["initContainers"]).filter(|c| c["restartPolicy"] == "Always");
        let mut seen = Seen {
            word: text(&status["reason"], text(&status["phase"], "Unknown")).to_owned(),
            ready: 0,
            total: list(&spec["containers"]).count() + sidecars.count(),
            restarts: 0,
            last_restart: None,
        };
        let initializing = seen.init(status, list(&spec["initContainers"]).count(), always);
        if !initializing || condition(pod, "Initialized") {
            seen.main(status);
        }
        if pod["metadata"]["deletionTimestamp"].is_string() {
            seen.word = match status["reason"].as_str() {
                Some("NodeLost") => "Unknown",
                _ if matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) => {
                    return seen;
                }
                _ => "Terminating",
            }
            .to_owned();
        }
        seen
    }

    /// Counts the init containers; true while one of them has not done its part.
    fn init(&mut self, status: &Value, total: usize, always: impl Fn(&Value) -> bool) -> bool {
        for (i, container) in list(&status["initContainerStatuses"]).enumerate() {
            let sidecar = always(&container["name"]);
            if sidecar {
                self.restart(container);
                self.ready += usize::from(container["ready"] == true);
            }
            let state = &container["state"];
            let done =
                state["terminated"]["exitCode"] == 0 || (sidecar && container["started"] == true);
            if done {
                continue;
            }
            let waiting = text(&state["waiting"]["reason"], "");
            self.word = if state["terminated"].is_object() {
                format!("Init:{}", ended(&state["terminated"]))
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{i}/{total}")
            };
            return true;
        }
        false
    }

    fn main(&mut self, status: &Value) {
        let mut running = false;
        let statuses: Vec<&Value> = list(&status["containerStatuses"]).collect();
        for container in statuses.into_iter().rev() {
            self.restart(container);
            let state = &container["state"];
            if let Some(reason) = state["waiting"]["reason"].as_str() {
                self.word = reason.to_owned();
            } else if state["terminated"].is_object() {
                self.word = ended(&state["terminated"]);
            } else if container["ready"] == true && state["running"].is_object() {
                running = true;
                self.ready += 1;
            }
        }
        // One container is done, another still runs.
        if self.word == "Completed" && running {
            self.word = "Running".to_owned();
        }
    }

    fn restart(&mut self, container: &Value) {
        self.restarts += container["restartCount"].as_u64().unwrap_or_default();
        if let Some(at) = container["lastState"]["terminated"]["finishedAt"].as_str()
            && self.last_restart.as_deref().is_none_or(|last| last < at)
        {
            self.last_restart = Some(at.to_owned());
        }
    }
}

fn ended(terminated: &Value) -> String {
    let reason = text(&terminated["reason"], "");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match terminated["signal"].as_i64().filter(|s| *s != 0) {
        Some(signal) => format!("Signal:{signal}"),
        None => format!("ExitCode:{}", terminated["exitCode"]),
    }
}

fn gates(pod: &Value) -> String {
    let wanted: Vec<&Value> = list(&pod["spec"]["readinessGates"]).collect();
    if wanted.is_empty() {
        return "<none>".to_owned();
    }
    let met = wanted
        .iter()
        .filter(|g| condition(pod, text(&g["conditionType"], "")))
        .count();
    format!("{met}/{}", wanted.len())
}

fn condition(pod: &Value, kind: &str) -> bool {
    list(&pod["status"]["conditions"]).any(|c| c["type"] == kind && c["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(pod: Value) -> Vec<String> {
        let cells = row(&pod, Timestamp::UNIX_EPOCH);
        cells[1..4]
            .iter()
            .map(|c| c.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_pods_status_is_what_its_containers_say() {
        let spec = json!({"containers": [{"name": "a"}]});
        for (status, expected) in [
            (json!({"phase": "Pending"}), ["0/1", "Pending", "0"]),
            (
                json!({"phase": "Running", "containerStatuses": [{"ready": true, "restartCount": 2, "state": {"running": {}}}]}),
                ["1/1", "Running", "2"],
            ),
            (
                json!({"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
                ["0/1", "ImagePullBackOff", "0"],
            ),
            (
                json!({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}),
                ["0/1", "ExitCode:3", "0"],
            ),
            (
                json!({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"waiting": {"reason": "PodInitializing"}}}]}),
                ["0/1", "Init:0/0", "0"],
            ),
            (
                json!({"phase": "Failed", "reason": "Evicted"}),
                ["0/1", "Evicted", "0"],
            ),
        ] {
            assert_eq!(
                cells(json!({"metadata": {}, "spec": spec, "status": status})),
                expected,
                "{status}"
            );
        }
        let going = json!({"metadata": {"deletionTimestamp": "x"}, "spec": spec, "status": {"phase": "Running"}});
        assert_eq!(cells(going)[1], "Terminating");
    }

    #[test]
    fn a_native_sidecar_counts_as_a_container() {
        let pod = json!({
            "metadata": {},
            "spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            "status": {
                "phase": "Running",
                "initContainerStatuses": [{"name": "s", "ready": true, "started": true, "restartCount": 1, "state": {"running": {}}}],
                "containerStatuses": [{"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}}]
            }
        });
        assert_eq!(cells(pod), ["2/2", "Running", "1"]);
    }
}
