//! The payment providers: which are configured, and which one takes new orders. A provider counts as configured when
//! any of its own settings is there; then all that it needs must be.

use super::problems::Problems;
use super::{Secret, ServeArgs};
use crate::payments::{razorpay, stripe};

/// A provider's name, as in `SEATWIRE_PROVIDER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderName {
    Razorpay,
    Stripe,
}

#[derive(Debug)]
pub struct RazorpayConfig {
    pub url: String,
    pub key_id: String,
    pub key_secret: Secret,
    pub webhook_secrets: Vec<Secret>,
}

#[derive(Debug)]
pub struct StripeConfig {
    pub url: String,
    pub secret_key: Secret,
    pub webhook_secrets: Vec<Secret>,
}

/// At least one provider.
#[derive(Debug)]
pub struct ProvidersConfig {
    /// Takes new orders.
    pub first: ProviderName,
    pub razorpay: Option<RazorpayConfig>,
    pub stripe: Option<StripeConfig>,
    /// Base URL of the checkout page as browsers reach it.
    pub checkout_url: String,
}

impl ProvidersConfig {
    /// Takes its settings out of the flags.
    pub(super) fn check(args: &mut ServeArgs, problems: &mut Problems) -> Self {
        let razorpay = check_razorpay(args, problems);
        let stripe = check_stripe(args, problems);
        let named = match given(&mut args.provider).as_deref() {
            None => None,
            Some("razorpay") => Some(ProviderName::Razorpay),
            Some("stripe") => Some(ProviderName::Stripe),
            Some(other) => {
                problems.add(VARIABLE, format_args!("must be razorpay or stripe, not {other:?}"));
                None
            }
        };
        let first = match (named, &razorpay, &stripe) {
            (_, None, None) => {
                problems.add(VARIABLE, NONE_CONFIGURED);
                ProviderName::Razorpay
            }
            (Some(ProviderName::Razorpay), None, _) => {
                problems.add(VARIABLE, "is razorpay, but SEATWIRE_RAZORPAY_KEY_ID is not given");
                ProviderName::Razorpay
            }
            (Some(ProviderName::Stripe), _, None) => {
                problems.add(VARIABLE, "is stripe, but SEATWIRE_STRIPE_SECRET_KEY is not given");
                ProviderName::Stripe
            }
            (Some(named), ..) => named,
            (None, Some(_), _) => ProviderName::Razorpay,
            (None, None, Some(_)) => ProviderName::Stripe,
        };
        let url = match first {
            ProviderName::Razorpay => razorpay.as_ref().map(|config| config.url.as_str()),
            ProviderName::Stripe => stripe.as_ref().map(|config| config.url.as_str()),
        };
        let checkout_url = match (given(&mut args.checkout_url), url) {
            (Some(checkout), _) => problems.url("SEATWIRE_CHECKOUT_URL", &checkout),
            (None, Some(razorpay::URL | stripe::URL)) => {
                problems.add("SEATWIRE_CHECKOUT_URL", "is required with a real provider: the page where customers pay");
                String::new()
            }
            (None, url) => url.unwrap_or_default().to_owned(),
        };
        Self { first, razorpay, stripe, checkout_url }
    }
}

fn check_razorpay(args: &mut ServeArgs, problems: &mut Problems) -> Option<RazorpayConfig> {
    let (id, secret) = (given(&mut args.razorpay_key_id), given(&mut args.razorpay_key_secret));
    let (url, webhooks) = (given(&mut args.razorpay_url), given(&mut args.razorpay_webhook_secrets));
    if [&id, &secret, &url, &webhooks].iter().all(|setting| setting.is_none()) {
        return None;
    }
    Some(RazorpayConfig {
        url: problems.url("SEATWIRE_RAZORPAY_URL", url.as_deref().unwrap_or(razorpay::URL)),
        key_id: problems.required("SEATWIRE_RAZORPAY_KEY_ID", id),
        key_secret: Secret::new(problems.required("SEATWIRE_RAZORPAY_KEY_SECRET", secret)),
        webhook_secrets: problems.secrets("SEATWIRE_RAZORPAY_WEBHOOK_SECRETS", webhooks),
    })
}

fn check_stripe(args: &mut ServeArgs, problems: &mut Problems) -> Option<StripeConfig> {
    let (key, url) = (given(&mut args.stripe_secret_key), given(&mut args.stripe_url));
    let webhooks = given(&mut args.stripe_webhook_secrets);
    if [&key, &url, &webhooks].iter().all(|setting| setting.is_none()) {
        return None;
    }
    Some(StripeConfig {
        url: problems.url("SEATWIRE_STRIPE_URL", url.as_deref().unwrap_or(stripe::URL)),
        secret_key: Secret::new(problems.required("SEATWIRE_STRIPE_SECRET_KEY", key)),
        webhook_secrets: problems.secrets("SEATWIRE_STRIPE_WEBHOOK_SECRETS", webhooks),
    })
}

/// An empty variable is none.
fn given(setting: &mut Option<String>) -> Option<String> {
    setting.take().filter(|text| !text.is_empty())
}

const VARIABLE: &str = "SEATWIRE_PROVIDER";
const NONE_CONFIGURED: &str = "no payment provider is configured: give SEATWIRE_RAZORPAY_KEY_ID, \
     SEATWIRE_RAZORPAY_KEY_SECRET and SEATWIRE_RAZORPAY_WEBHOOK_SECRETS, or SEATWIRE_STRIPE_SECRET_KEY and \
     SEATWIRE_STRIPE_WEBHOOK_SECRETS";
