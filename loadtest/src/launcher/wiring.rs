//! The environment of each service: where the others are, what they share, and what was asked for beside.
//!
//! Later ones win: our own defaults, the caller's environment, what joins the parts, the options of this stack.

use std::{ffi::OsString, net::SocketAddr};

use super::{Service, StackOptions, StackSecrets};
use crate::provider::Shapes;

/// What the services have to know of each other. Behind an address may be a fault proxy.
#[derive(Debug, Clone)]
pub(crate) struct Wiring {
    pub(crate) gateway_redis: SocketAddr,
    pub(crate) core_redis: SocketAddr,
    pub(crate) core_database_url: String,
    pub(crate) core_provider: SocketAddr,
    /// The provider itself: browsers go there.
    pub(crate) provider: SocketAddr,
    pub(crate) provider_webhook: SocketAddr,
    pub(crate) gateway_cores: Vec<SocketAddr>,
    /// As a browser on this machine writes it.
    pub(crate) page: String,
    pub(crate) provider_data: String,
    /// Mail becomes files in this folder.
    pub(crate) mail: String,
    pub(crate) secrets: StackSecrets,
}

type Environment = Vec<(String, OsString)>;

impl Wiring {
    pub(crate) fn core(
        &self,
        options: &StackOptions,
        index: usize,
        listen: SocketAddr,
        http: SocketAddr,
    ) -> Environment {
        let secrets = &self.secrets;
        let soft = [
            ("SEATWIRE_PUBLIC_URL", self.page.clone()),
            ("SEATWIRE_CHECKOUT_URL", format!("http://{}", self.provider)),
            // Who tries things out, or plays many customers with one token, is not to be told to wait for minutes.
            ("SEATWIRE_CUSTOMER_HOLDS", "1000".to_owned()),
            ("SEATWIRE_MAIL_URL", format!("file:{}", self.mail)),
        ];
        let provider = format!("http://{}", self.core_provider);
        let (key, webhook) = (secrets.provider_key_secret.clone(), secrets.webhook.clone());
        let provider = match options.provider {
            Shapes::Razorpay => vec![
                ("SEATWIRE_RAZORPAY_URL", provider),
                ("SEATWIRE_RAZORPAY_KEY_ID", secrets.provider_key_id.clone()),
                ("SEATWIRE_RAZORPAY_KEY_SECRET", key),
                ("SEATWIRE_RAZORPAY_WEBHOOK_SECRETS", webhook),
            ],
            Shapes::Stripe => vec![
                ("SEATWIRE_STRIPE_URL", provider),
                ("SEATWIRE_STRIPE_SECRET_KEY", key),
                ("SEATWIRE_STRIPE_WEBHOOK_SECRETS", webhook),
            ],
        };
        let hard = [
            ("SEATWIRE_CORE_LISTEN", listen.to_string()),
            ("SEATWIRE_CORE_HTTP_LISTEN", http.to_string()),
            ("SEATWIRE_CORE_NAME", format!("core-{index}")),
            ("SEATWIRE_REDIS_URL", format!("redis://{}", self.core_redis)),
            ("SEATWIRE_DATABASE_URL", self.core_database_url.clone()),
            ("SEATWIRE_CORE_SECRET", secrets.core.clone()),
            ("SEATWIRE_HOLD_SECRET", secrets.hold.clone()),
            ("SEATWIRE_ADMIN_TOKEN", secrets.admin.clone()),
            ("SEATWIRE_PROVIDER", options.provider.name().to_owned()),
        ];
        environment(options, Service::Core, soft, hard.into_iter().chain(provider))
    }

    pub(crate) fn gateway(&self, options: &StackOptions, listen: SocketAddr, metrics: SocketAddr) -> Environment {
        let secrets = &self.secrets;
        let cores: Vec<_> = self.gateway_cores.iter().map(SocketAddr::to_string).collect();
        let many = || "15000".to_owned();
        let soft = [
            ("SEATWIRE_ORIGINS", self.page.clone()),
            // People who stop a demo should not wait for the farewell of a real herd.
            ("SEATWIRE_DRAIN_MS", "1000".to_owned()),
            // A whole crowd comes from this machine, or with one token.
            ("SEATWIRE_CONNECTIONS_PER_ADDRESS_MAX", many()),
            ("SEATWIRE_CONNECTIONS_PER_CUSTOMER_MAX", many()),
            ("SEATWIRE_GUESTS_PER_MINUTE_MAX", many()),
            ("SEATWIRE_REQUESTS_PER_SECOND_MAX", many()),
        ];
        let hard = [
            ("SEATWIRE_GATEWAY_LISTEN", listen.to_string()),
            ("SEATWIRE_GATEWAY_METRICS_LISTEN", metrics.to_string()),
            ("SEATWIRE_CORES", cores.join(",")),
            ("SEATWIRE_CORE_SECRET", secrets.core.clone()),
            ("SEATWIRE_REDIS_URL", format!("redis://{}", self.gateway_redis)),
            ("SEATWIRE_JWT_SECRET", secrets.jwt.clone()),
            ("SEATWIRE_GUEST_SECRET", secrets.guest.clone()),
        ];
        environment(options, Service::Gateway, soft, hard)
    }

    pub(crate) fn provider(&self, options: &StackOptions) -> Environment {
        let (secrets, shapes) = (&self.secrets, options.provider.name());
        let hard = [
            ("SEATWIRE_PROVIDER_LISTEN", self.provider.to_string()),
            ("SEATWIRE_PROVIDER_DATA_DIR", self.provider_data.clone()),
            ("SEATWIRE_PROVIDER_SHAPES", shapes.to_owned()),
            ("SEATWIRE_PROVIDER_WEBHOOK_URL", format!("http://{}/webhooks/{shapes}", self.provider_webhook)),
            ("SEATWIRE_PROVIDER_WEBHOOK_SECRET", secrets.webhook.clone()),
            ("SEATWIRE_PROVIDER_KEY_ID", secrets.provider_key_id.clone()),
            ("SEATWIRE_PROVIDER_KEY_SECRET", secrets.provider_key_secret.clone()),
        ];
        environment(options, Service::Provider, [], hard)
    }
}

fn environment<'a, const S: usize>(
    options: &StackOptions,
    service: Service,
    soft: [(&str, String); S],
    hard: impl IntoIterator<Item = (&'a str, String)>,
) -> Environment {
    let callers = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        (options.pass_environment && name.starts_with("SEATWIRE_")).then_some((name, value))
    });
    let own = |(name, value): (&str, String)| (name.to_owned(), OsString::from(value));
    let asked = options.env.iter().filter(|(of, ..)| *of == service);
    let asked = asked.map(|(_, name, value)| (name.clone(), value.into()));
    soft.map(own).into_iter().chain(callers).chain(hard.into_iter().map(own)).chain(asked).collect()
}
