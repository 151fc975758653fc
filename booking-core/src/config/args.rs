//! The flags of `serve` with their help, variables and defaults; nothing is judged here.

/// Flags of `serve`. All are texts here, so that one bad value does not hide the next.
#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Address of the MessagePack port for gateways and backends; port 0 takes a free one
    #[arg(long, env = "SEATWIRE_CORE_LISTEN", default_value = "127.0.0.1:7100", value_name = "ADDRESS")]
    pub(super) core_listen: String,
    /// Address of the HTTP listener: payment webhooks, /admin, /live, /ready, /metrics
    #[arg(long, env = "SEATWIRE_CORE_HTTP_LISTEN", default_value = "127.0.0.1:7101", value_name = "ADDRESS")]
    pub(super) core_http_listen: String,
    /// Name of this instance in logs and to gateways [default: core-PID]
    #[arg(long, env = "SEATWIRE_CORE_NAME", value_name = "NAME")]
    pub(super) core_name: Option<String>,
    /// Redis or Valkey: holds and the live seat map
    #[arg(
        long,
        env = "SEATWIRE_REDIS_URL",
        default_value = "redis://127.0.0.1:6379",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(super) redis_url: String,
    /// PostgreSQL with the role seatwire_core: the truth (required)
    #[arg(long, env = "SEATWIRE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(super) database_url: Option<String>,
    /// Connections to PostgreSQL
    #[arg(long, env = "SEATWIRE_DATABASE_POOL", default_value = "16", value_name = "COUNT")]
    pub(super) database_pool: String,
    /// Secret shared with gateways and backends on the MessagePack port, at least 16 bytes (required)
    #[arg(long, env = "SEATWIRE_CORE_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(super) core_secret: Option<String>,
    /// Key of hold ids, the same in all cores, at least 16 bytes (required)
    #[arg(long, env = "SEATWIRE_HOLD_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(super) hold_secret: Option<String>,
    /// Bearer token of the admin routes, at least 16 bytes (required)
    #[arg(long, env = "SEATWIRE_ADMIN_TOKEN", value_name = "SECRET", hide_env_values = true)]
    pub(super) admin_token: Option<String>,
    /// Payment provider of new orders: razorpay or stripe [default: the one that is configured, else razorpay]
    #[arg(long, env = "SEATWIRE_PROVIDER", value_name = "NAME")]
    pub(super) provider: Option<String>,
    /// Base URL of Razorpay's API [default: the real one]
    #[arg(long, env = "SEATWIRE_RAZORPAY_URL", value_name = "URL")]
    pub(super) razorpay_url: Option<String>,
    /// Key id for Razorpay's API (required for Razorpay)
    #[arg(long, env = "SEATWIRE_RAZORPAY_KEY_ID", value_name = "ID")]
    pub(super) razorpay_key_id: Option<String>,
    /// Key secret for Razorpay's API (required for Razorpay)
    #[arg(long, env = "SEATWIRE_RAZORPAY_KEY_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub(super) razorpay_key_secret: Option<String>,
    /// Secrets of Razorpay's webhooks, separated by commas; any may match, for rotation (required for Razorpay)
    #[arg(long, env = "SEATWIRE_RAZORPAY_WEBHOOK_SECRETS", value_name = "SECRETS", hide_env_values = true)]
    pub(super) razorpay_webhook_secrets: Option<String>,
    /// Base URL of Stripe's API [default: the real one]
    #[arg(long, env = "SEATWIRE_STRIPE_URL", value_name = "URL")]
    pub(super) stripe_url: Option<String>,
    /// Secret or restricted key for Stripe's API (required for Stripe)
    #[arg(long, env = "SEATWIRE_STRIPE_SECRET_KEY", value_name = "SECRET", hide_env_values = true)]
    pub(super) stripe_secret_key: Option<String>,
    /// Secrets of Stripe's webhook endpoint, separated by commas; any may match, for rotation (required for Stripe)
    #[arg(long, env = "SEATWIRE_STRIPE_WEBHOOK_SECRETS", value_name = "SECRETS", hide_env_values = true)]
    pub(super) stripe_webhook_secrets: Option<String>,
    /// Base URL of the page where customers pay, as browsers reach it [default: the provider's URL, if that is given]
    #[arg(long, env = "SEATWIRE_CHECKOUT_URL", value_name = "URL")]
    pub(super) checkout_url: Option<String>,
    /// URL of the page, where the checkout returns to
    #[arg(long, env = "SEATWIRE_PUBLIC_URL", default_value = "http://127.0.0.1:7000", value_name = "URL")]
    pub(super) public_url: String,
    /// How long a hold lasts, and each extension of it, milliseconds
    #[arg(long, env = "SEATWIRE_HOLD_MS", default_value = "300000", value_name = "MS")]
    pub(super) hold_ms: String,
    /// How often a customer may extend a hold
    #[arg(long, env = "SEATWIRE_HOLD_EXTENSIONS", default_value = "2", value_name = "COUNT")]
    pub(super) hold_extensions: String,
    /// No extension lets a hold live longer than this, milliseconds
    #[arg(long, env = "SEATWIRE_HOLD_LIFETIME_MS", default_value = "900000", value_name = "MS")]
    pub(super) hold_lifetime_ms: String,
    /// How much longer a hold is honoured than the customer is told, milliseconds
    #[arg(long, env = "SEATWIRE_HOLD_GRACE_MS", default_value = "2000", value_name = "MS")]
    pub(super) hold_grace_ms: String,
    /// Seats that one customer may have at one show: held, pending and booked together
    #[arg(long, env = "SEATWIRE_HOLD_SEATS_MAX", default_value = "10", value_name = "COUNT")]
    pub(super) hold_seats_max: String,
    /// Live holds that one customer may have at one show
    #[arg(long, env = "SEATWIRE_HOLDS_MAX", default_value = "2", value_name = "COUNT")]
    pub(super) holds_max: String,
    /// New holds that one customer may place within the window, over all shows; a refused hold does not count; 0: no limit
    #[arg(long, env = "SEATWIRE_CUSTOMER_HOLDS", default_value = "6", value_name = "COUNT")]
    pub(super) customer_holds: String,
    /// The window in which new holds of one customer count, milliseconds
    #[arg(long, env = "SEATWIRE_CUSTOMER_HOLDS_WINDOW_MS", default_value = "600000", value_name = "MS")]
    pub(super) customer_holds_window_ms: String,
    /// How long it is remembered that a customer let a hold of a seat lapse, or left a booking unpaid, milliseconds
    #[arg(long, env = "SEATWIRE_LAPSE_WINDOW_MS", default_value = "1800000", value_name = "MS")]
    pub(super) lapse_window_ms: String,
    /// How long a customer waits for a seat that he let lapse twice within that time, or with a new booking at a show where
    /// he left two unpaid, milliseconds
    #[arg(long, env = "SEATWIRE_COOL_DOWN_MS", default_value = "60000", value_name = "MS")]
    pub(super) cool_down_ms: String,
    /// Holding, extending, releasing, booking and cancelling: commands of one customer a second in the long run, over all
    /// gateways and cores; 0: no limit
    #[arg(long, env = "SEATWIRE_CUSTOMER_COMMANDS_PER_SECOND", default_value = "20", value_name = "COUNT")]
    pub(super) customer_commands_per_second: String,
    /// Commands that a customer who was quiet may send at once
    #[arg(long, env = "SEATWIRE_CUSTOMER_COMMANDS_BURST", default_value = "60", value_name = "COUNT")]
    pub(super) customer_commands_burst: String,
    /// How long a pending booking waits for its payment, milliseconds
    #[arg(long, env = "SEATWIRE_CLAIM_MS", default_value = "720000", value_name = "MS")]
    pub(super) claim_ms: String,
    /// When an order is first asked for at its provider, milliseconds after it was made; then each time twice as late, for
    /// five days. This finds payments that no webhook told of, such as a second one for a booking
    #[arg(long, env = "SEATWIRE_RECONCILE_MS", default_value = "900000", value_name = "MS")]
    pub(super) reconcile_ms: String,
    /// How long the idempotency keys of bookings and cancellations are remembered, hours, at least 24; longer while the
    /// booking waits for its payment or money is on its way
    #[arg(long, env = "SEATWIRE_KEY_HOURS", default_value = "24", value_name = "HOURS")]
    pub(super) key_hours: String,
    /// A hold that is being booked lasts at least this much longer, milliseconds
    #[arg(long, env = "SEATWIRE_PAYING_MS", default_value = "60000", value_name = "MS")]
    pub(super) paying_ms: String,
    #[command(flatten)]
    pub(super) events: super::EventArgs,
    /// Which log lines are written: a level, or a filter such as info,seatwire_core::saga=debug
    #[arg(long, env = "SEATWIRE_LOG", default_value = "info", value_name = "FILTER")]
    pub(super) log: String,
    /// How log lines are written to standard error: text or json
    #[arg(long, env = "SEATWIRE_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(super) log_format: String,
}
