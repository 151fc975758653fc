//! Reads a payment at the checkout: the page's form, or JSON of the same fields in tests. Each refusal names its field.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Uri, header};
use serde_json::Value;

use super::entities::WebhookPlan;
use super::error::ApiError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PayOutcome {
    Success,
    Failure,
}

#[derive(Debug, Clone)]
pub(crate) struct PayRequest {
    pub(crate) outcome: PayOutcome,
    pub(crate) return_url: Option<ReturnUrl>,
    pub(crate) webhooks: WebhookPlan,
    /// Another amount than the order's.
    pub(crate) amount: Option<u64>,
    /// Another currency than the order's.
    pub(crate) currency: Option<String>,
    /// Captured this much later; a failed payment too.
    pub(crate) capture_after_ms: Option<u64>,
    /// Two payments at once.
    pub(crate) double: bool,
}

/// An http or https address with a host, nothing else: never `javascript:`, never a relative path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReturnUrl(String);

impl ReturnUrl {
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let refused = || ApiError::field("return_url", "return_url must be an absolute http or https URL");
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte));
        if !plain || text.len() > RETURN_URL_BYTES_MAX {
            return Err(refused());
        }
        let url: Uri = text.parse().map_err(|_| refused())?;
        let web = matches!(url.scheme_str(), Some("http" | "https"));
        let host =
            url.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
        if web && host { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl PayRequest {
    pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, ApiError> {
        let fields = if is_json(headers, header::CONTENT_TYPE) { read_json(body)? } else { read_form(body)? };
        let known = |name: &String| FIELDS.contains(&name.as_str());
        if let Some(unknown) = fields.keys().find(|name| !known(name)) {
            let unknown: String = unknown.chars().take(40).collect();
            return Err(ApiError::bad(format!("unknown field {unknown}; known are {}", FIELDS.join(", "))));
        }
        let outcome = match fields.get("outcome").map(String::as_str) {
            Some("success") => PayOutcome::Success,
            Some("failure") => PayOutcome::Failure,
            _ => return Err(ApiError::field("outcome", "outcome must be success or failure")),
        };
        let copies = number(&fields, "copies", 1..=COPIES_MAX)?.unwrap_or(1);
        let copies = if flag(&fields, "lose")? { 0 } else { u32::try_from(copies).unwrap_or(1) };
        Ok(Self {
            outcome,
            return_url: fields.get("return_url").map(|url| ReturnUrl::parse(url)).transpose()?,
            webhooks: WebhookPlan { delay_ms: number(&fields, "delay_ms", 0..=DELAY_MS_MAX)?.unwrap_or(0), copies },
            amount: number(&fields, "amount", 1..=AMOUNT_MAX)?,
            currency: currency(&fields)?,
            capture_after_ms: number(&fields, "capture_after_ms", 0..=DELAY_MS_MAX)?,
            double: flag(&fields, "double")?,
        })
    }
}

/// Whether a header names JSON.
pub(crate) fn is_json(headers: &HeaderMap, name: header::HeaderName) -> bool {
    headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("application/json"))
}

type Fields = BTreeMap<String, String>;

pub(crate) fn read_form(body: &[u8]) -> Result<Fields, ApiError> {
    let uri = |query: &str| format!("/?{query}").parse::<Uri>().ok();
    let text =
        std::str::from_utf8(body).ok().and_then(uri).ok_or_else(|| ApiError::bad("the form is not urlencoded"))?;
    axum::extract::Query::try_from_uri(&text).map(|query| query.0).map_err(|error| ApiError::bad(error.to_string()))
}

fn read_json(body: &[u8]) -> Result<Fields, ApiError> {
    let fields: BTreeMap<String, Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad(format!("the body is not a JSON object: {error}")))?;
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Ok(fields.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect())
}

fn number(fields: &Fields, name: &'static str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
    let Some(text) = fields.get(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(Some(number)),
        _ => Err(ApiError::field(name, format!("{name} must be a number from {} to {}", range.start(), range.end()))),
    }
}

fn flag(fields: &Fields, name: &'static str) -> Result<bool, ApiError> {
    match fields.get(name).map(String::as_str) {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(ApiError::field(name, format!("{name} must be 1, 0, true or false"))),
    }
}

fn currency(fields: &Fields) -> Result<Option<String>, ApiError> {
    match fields.get("currency") {
        None => Ok(None),
        Some(code) if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) => Ok(Some(code.clone())),
        Some(_) => Err(ApiError::field("currency", "currency must be three upper-case letters")),
    }
}

const FIELDS: [&str; 9] =
    ["outcome", "return_url", "delay_ms", "copies", "lose", "amount", "currency", "capture_after_ms", "double"];
const RETURN_URL_BYTES_MAX: usize = 2048;
const COPIES_MAX: u64 = 20;
/// Webhooks are retried for a day.
const DELAY_MS_MAX: u64 = 24 * 60 * 60 * 1000;
const AMOUNT_MAX: u64 = 10_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_web_addresses_are_returned_to() {
        for good in ["http://127.0.0.1:7000/?booking=ab12", "https://seats.example/back?x=%22&y=1#top"] {
            assert_eq!(ReturnUrl::parse(good).unwrap().as_str(), good);
        }
        let long = format!("http://a/{}", "x".repeat(2048));
        let bad = [
            "",
            "/relative",
            "//host/path",
            "javascript:alert(1)",
            "JAVASCRIPT:alert(1)",
            "data:text/html,x",
            "http:/x",
            "http://",
            "http://user@host/",
            "http://host/\"><script>",
            "http://host/\r\nSet-Cookie: a=b",
            "http://host/ x",
            "ftp://host/",
            "http:\\\\host",
            &long,
        ];
        for bad in bad {
            assert!(ReturnUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
