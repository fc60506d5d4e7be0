//! From a pod's specification to an OCI runtime configuration, as kubelet and containerd's CRI plugin
//! translate it: capabilities, user, no_new_privs, seccomp, root, mounts, environment, resources.
//!
//! What is not understood is an error, not a default: a field that the injector starts to write must
//! be looked at here before a test can say that it works. References: containerd
//! `internal/cri/server/container_create.go` and `pkg/oci`, the OCI runtime specification 1.0.2.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, Pod, SecurityContext, Volume, VolumeMount,
};
use serde_json::{Value, json};

/// What a container without `capabilities` may do (containerd `pkg/oci`, `defaultUnixCaps`).
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// `contrib/seccomp.DefaultProfile` of containerd 2.3.7 for amd64 and a process without capabilities.
const RUNTIME_DEFAULT: &str = include_str!("seccomp-runtime-default.json");

/// The system calls that the profile adds for a capability (the same function, its last switch).
const SYSCALLS_BY_CAPABILITY: [(&str, &[&str]); 3] = [
    ("CAP_BPF", &["bpf"]),
    ("CAP_PERFMON", &["perf_event_open"]),
    ("CAP_SYS_CHROOT", &["chroot"]),
];

/// What the node adds to the pod's own words.
#[derive(Debug)]
pub struct Node<'a> {
    /// The image, unpacked.
    pub rootfs: &'a Path,
    /// The pod's network namespace.
    pub netns: &'a Path,
    /// The cgroup, from the root of each hierarchy.
    pub cgroup: &'a str,
    /// Where each projected volume was written, and each emptyDir made.
    pub volumes: &'a [(&'a str, PathBuf)],
    /// The API server, as the Service `kubernetes` has it.
    pub api_server: SocketAddr,
}

/// The OCI configuration of one container of a pod.
///
/// # Errors
/// What the pod says that is not understood here, by field.
pub fn config(pod: &Pod, container: &Container, node: &Node<'_>) -> anyhow::Result<Value> {
    let context = container.security_context.clone().unwrap_or_default();
    ensure!(
        context.privileged != Some(true),
        "{}: privileged",
        container.name
    );
    let capabilities = capabilities(context.capabilities.as_ref());
    let command =
        [&container.command, &container.args].map(|part| part.clone().unwrap_or_default());
    let mut config = json!({
        "ociVersion": "1.0.2",
        "hostname": pod.metadata.name,
        "root": {"path": node.rootfs, "readonly": context.read_only_root_filesystem == Some(true)},
        "process": {
            "cwd": "/",
            "args": command.concat(),
            "env": environment(pod, container, node)?,
            "user": {"uid": context.run_as_user.unwrap_or(0), "gid": context.run_as_group.unwrap_or(0)},
            // Neither inheritable nor ambient: CVE-2022-24769, and Kubernetes has no ambient ones.
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "noNewPrivileges": context.allow_privilege_escalation == Some(false),
        },
        "mounts": mounts(pod, container, node)?,
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"},
                {"type": "network", "path": node.netns},
            ],
            "cgroupsPath": node.cgroup,
            "resources": resources(container)?,
            // containerd's defaults (`pkg/oci/spec.go`), which the CRI plugin takes over.
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    });
    if let Some(profile) = seccomp(&context, &capabilities)? {
        config["linux"]["seccomp"] = profile;
    }
    Ok(config)
}

/// As the CRI plugin does it: all are dropped or single ones, and then those asked for are added.
fn capabilities(asked: Option<&Capabilities>) -> Vec<String> {
    let list = |list: Option<&Vec<String>>| list.cloned().unwrap_or_default();
    let drop = list(asked.and_then(|asked| asked.drop.as_ref()));
    let add = list(asked.and_then(|asked| asked.add.as_ref()));
    let mut names: Vec<String> = DEFAULT_CAPABILITIES.map(str::to_owned).to_vec();
    names.retain(|name| {
        !drop
            .iter()
            .any(|dropped| dropped == "ALL" || dropped == name)
    });
    names.extend(add);
    names.iter().map(|name| format!("CAP_{name}")).collect()
}

fn seccomp(context: &SecurityContext, capabilities: &[String]) -> anyhow::Result<Option<Value>> {
    let kind = context
        .seccomp_profile
        .as_ref()
        .map(|profile| profile.type_.as_str());
    match kind {
        // containerd runs what asks for nothing without a profile.
        None | Some("Unconfined") => return Ok(None),
        Some("RuntimeDefault") => {}
        Some(other) => bail!("seccompProfile.type {other}"),
    }
    let mut profile: Value = serde_json::from_str(RUNTIME_DEFAULT)?;
    for (capability, calls) in SYSCALLS_BY_CAPABILITY {
        if capabilities.iter().any(|has| has == capability)
            && let Some(rules) = profile["syscalls"].as_array_mut()
        {
            rules.push(json!({"names": calls, "action": "SCMP_ACT_ALLOW"}));
        }
    }
    Ok(Some(profile))
}

/// What the kubelet puts into a container's environment.
fn environment(pod: &Pod, container: &Container, node: &Node<'_>) -> anyhow::Result<Vec<String>> {
    let mut environment = vec![
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        format!("KUBERNETES_SERVICE_HOST={}", node.api_server.ip()),
        format!("KUBERNETES_SERVICE_PORT={}", node.api_server.port()),
    ];
    for variable in container.env.iter().flatten() {
        environment.push(format!("{}={}", variable.name, value(pod, variable)?));
    }
    Ok(environment)
}

fn value(pod: &Pod, variable: &EnvVar) -> anyhow::Result<String> {
    let Some(source) = &variable.value_from else {
        return Ok(variable.value.clone().unwrap_or_default());
    };
    let field = source
        .field_ref
        .as_ref()
        .map(|field| field.field_path.as_str());
    let spec = pod.spec.as_ref();
    match field {
        Some("metadata.name") => pod.metadata.name.clone(),
        Some("metadata.namespace") => pod.metadata.namespace.clone(),
        Some("metadata.uid") => pod.metadata.uid.clone(),
        Some("spec.nodeName") => spec.and_then(|spec| spec.node_name.clone()),
        _ => bail!("env {}: valueFrom {field:?}", variable.name),
    }
    .with_context(|| format!("env {}: the pod has no {field:?}", variable.name))
}

fn mounts(pod: &Pod, container: &Container, node: &Node<'_>) -> anyhow::Result<Vec<Value>> {
    // The CRI plugin's own, but for /sys/fs/cgroup, which nothing here reads.
    let mut mounts = vec![
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]}),
        json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
        json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]}),
        json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]}),
        json!({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}),
    ];
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes
            .and_then(|volumes| volumes.iter().find(|volume| volume.name == mount.name))
            .with_context(|| format!("no volume {}", mount.name))?;
        mounts.push(bind(mount, &source(volume, node)?)?);
    }
    Ok(mounts)
}

/// Where a volume lies on the node. A hostPath that must be there is looked for, as the kubelet does.
fn source(volume: &Volume, node: &Node<'_>) -> anyhow::Result<PathBuf> {
    if let Some(host) = &volume.host_path {
        use std::os::unix::fs::FileTypeExt as _;
        let path = PathBuf::from(&host.path);
        let kind = host.type_.as_deref().unwrap_or_default();
        ensure!(kind == "CharDevice", "hostPath of type {kind:?}");
        let is_device = path
            .metadata()
            .is_ok_and(|metadata| metadata.file_type().is_char_device());
        ensure!(
            is_device,
            "hostPath type check failed: {} is not a character device",
            host.path
        );
        return Ok(path);
    }
    ensure!(
        volume.projected.is_some() || volume.empty_dir.is_some(),
        "volume {}: neither hostPath nor projected nor emptyDir",
        volume.name
    );
    let written = node.volumes.iter().find(|(name, _)| *name == volume.name);
    let (_, path) = written.with_context(|| format!("volume {} was not written", volume.name))?;
    Ok(path.clone())
}

fn bind(mount: &VolumeMount, source: &Path) -> anyhow::Result<Value> {
    ensure!(mount.sub_path.is_none(), "subPath of {}", mount.name);
    let access = if mount.read_only == Some(true) {
        "ro"
    } else {
        "rw"
    };
    Ok(json!({
        "destination": mount.mount_path, "type": "bind", "source": source,
        "options": ["rbind", "rprivate", access],
    }))
}

/// Devices are the runtime's affair: runc adds the rules for its default ones, 10:200 among them. The
/// first rule is what containerd writes for a container that is not privileged.
fn resources(container: &Container) -> anyhow::Result<Value> {
    let mut resources = json!({"devices": [{"allow": false, "access": "rwm"}]});
    let limits = container
        .resources
        .as_ref()
        .and_then(|all| all.limits.as_ref());
    for (name, quantity) in limits.into_iter().flatten() {
        let mebibytes = quantity
            .0
            .strip_suffix("Mi")
            .and_then(|text| text.parse::<u64>().ok());
        match (name.as_str(), mebibytes) {
            ("memory", Some(mebibytes)) => resources["memory"] = json!({"limit": mebibytes << 20}),
            _ => bail!("resources.limits.{name}: {}", quantity.0),
        }
    }
    Ok(resources)
}
