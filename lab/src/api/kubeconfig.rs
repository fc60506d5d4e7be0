//! The kubeconfig that leads a client here, credentials included.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::tls::{Identity, SERVER_NAME};

/// How the client shows who it is.
pub enum Credential<'a> {
    /// By a client certificate.
    Certificate(&'a Identity),
    /// By a bearer token.
    Token(&'a str),
    /// Not at all.
    None,
}

/// Writes the file, readable by its owner only. JSON, which is YAML. With an authority, the server
/// must show a certificate for [`SERVER_NAME`], whatever its address.
///
/// # Errors
/// When the file cannot be written.
pub fn write(
    path: &Path,
    server: &str,
    ca_pem: Option<&str>,
    credential: &Credential<'_>,
) -> Result<()> {
    let mut cluster = json!({ "server": server });
    if let Some(ca) = ca_pem {
        cluster["certificate-authority-data"] = json!(BASE64_STANDARD.encode(ca));
        // Whatever address leads here, the certificate carries this name.
        cluster["tls-server-name"] = json!(SERVER_NAME);
    }
    let user: Value = match credential {
        Credential::Certificate(identity) => json!({
            "client-certificate-data": BASE64_STANDARD.encode(&identity.certificate_pem),
            "client-key-data": BASE64_STANDARD.encode(&identity.key_pem),
        }),
        Credential::Token(token) => json!({ "token": token }),
        Credential::None => json!({}),
    };
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    });
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    serde_json::to_writer_pretty(&mut file, &config)?;
    file.write_all(b"\n")?;
    Ok(())
}
