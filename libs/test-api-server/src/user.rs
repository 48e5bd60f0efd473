//! Who asks: a name, what proves it, and the ways to speak to the server as that one.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use data_encoding::BASE64;
use kube::{Client, Config, config::AuthInfo};
use serde_json::{Value, json};

use crate::must;

/// Where a server is, and how it is known.
pub(crate) struct Endpoint {
    pub(crate) url: String,
    pub(crate) authority_pem: String,
    pub(crate) authority_der: Vec<u8>,
    /// Where files for other processes are put.
    pub(crate) directory: PathBuf,
}

/// Somebody the server knows. What they may do is up to the roles a test binds to them: by itself, nothing.
#[derive(Clone)]
pub struct User {
    name: String,
    /// The `user` of a kubeconfig.
    proof: Value,
    endpoint: Arc<Endpoint>,
}

impl User {
    pub(crate) fn with_certificate(
        name: &str,
        (certificate, key): (String, String),
        endpoint: Arc<Endpoint>,
    ) -> Self {
        let proof = json!({
            "client-certificate-data": BASE64.encode(certificate.as_bytes()),
            "client-key-data": BASE64.encode(key.as_bytes()),
        });
        Self { name: name.to_owned(), proof, endpoint }
    }

    pub(crate) fn with_token(name: &str, token: &str, endpoint: Arc<Endpoint>) -> Self {
        Self { name: name.to_owned(), proof: json!({"token": token}), endpoint }
    }

    /// As audit log and role bindings call them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For this process. A request is made once: a test that fails wants to know now.
    pub fn config(&self) -> Config {
        must(self.try_config())
    }

    fn try_config(&self) -> Result<Config> {
        let mut config = Config::new(self.endpoint.url.parse().context("the server's address is none")?);
        config.root_cert = Some(vec![self.endpoint.authority_der.clone()]);
        config.auth_info = serde_json::from_value::<AuthInfo>(self.proof.clone())
            .context("the user's proof is not what a kubeconfig has")?;
        config.default_retry = false;
        Ok(config)
    }

    /// For this process, with [`User::config`]. It belongs to the runtime it is made in: each test makes its own.
    pub fn client(&self) -> Client {
        must(self.try_config().and_then(|config| Client::try_from(config).context("cannot make a client")))
    }

    /// A kubeconfig file for another process.
    pub fn kubeconfig(&self) -> PathBuf {
        must(self.try_kubeconfig())
    }

    fn try_kubeconfig(&self) -> Result<PathBuf> {
        // Names of users have colons.
        let path = self.endpoint.directory.join(format!("{}.kubeconfig", self.name.replace(':', "-")));
        let authority = BASE64.encode(self.endpoint.authority_pem.as_bytes());
        let file = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": self.endpoint.url, "certificate-authority-data": authority,
            }}],
            "users": [{"name": self.name, "user": self.proof}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": self.name}}],
        });
        fs::write(&path, file.to_string()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
