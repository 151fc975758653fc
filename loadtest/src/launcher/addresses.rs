//! Where everything of a stack is: what `loadtest up` writes into its ready file, and what other tools read from it.

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path};

use serde::{Deserialize, Serialize};

use super::secrets;

#[derive(Clone, Serialize, Deserialize)]
pub struct Addresses {
    /// The page, by the first gateway.
    pub gateway: String,
    pub gateways: Vec<String>,
    /// Where each gateway tells its metrics.
    pub gateway_metrics: Vec<String>,
    /// The first core's MessagePack port.
    pub core: SocketAddr,
    pub cores: Vec<SocketAddr>,
    /// The first core's HTTP listener.
    pub core_http: String,
    pub core_http_all: Vec<String>,
    pub provider: String,
    pub redis: String,
    /// As superuser.
    pub postgres: String,
    /// As the owner of the tables.
    pub postgres_migrator: String,
    /// As the booking core.
    pub postgres_core: String,
    /// By name: redis, postgres, provider, core, core_1, …, gateway, gateway_1, … Those that are down are missing.
    pub pids: BTreeMap<String, u32>,
    pub data_dir: String,
    pub secrets: StackSecrets,
}

/// What the parts prove to each other.
#[derive(Clone, Serialize, Deserialize)]
pub struct StackSecrets {
    /// Between gateways and cores.
    pub core: String,
    /// Key of hold ids.
    pub hold: String,
    /// Key of customers' tokens.
    pub jwt: String,
    /// Key of guests' tokens.
    pub guest: String,
    /// Bearer token of the admin routes.
    pub admin: String,
    /// Key of the webhooks' signatures.
    pub webhook: String,
    pub provider_key_id: String,
    pub provider_key_secret: String,
}

impl Addresses {
    pub fn read(path: &Path) -> io::Result<Self> {
        secrets::read_json(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A file of mode 0600 that appears at once with all its content.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        secrets::write_json(path, self)
    }
}

/// Without passwords and secrets: this may reach a log.
impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Addresses");
        shown.field("gateways", &self.gateways).field("cores", &self.cores).field("core_http", &self.core_http_all);
        shown.field("provider", &self.provider).field("redis", &self.redis).field("pids", &self.pids);
        shown.field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl StackSecrets {
    pub(crate) fn random() -> Self {
        let new = secrets::random_secret;
        Self {
            core: new(),
            hold: new(),
            jwt: new(),
            guest: new(),
            admin: new(),
            webhook: new(),
            provider_key_id: format!("rzp_test_{}", new().get(..14).unwrap_or_default()),
            provider_key_secret: new(),
        }
    }
}

impl std::fmt::Debug for StackSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StackSecrets")
    }
}
