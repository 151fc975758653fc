//! The checkout page: one self-contained HTML text without scripts. Everything that comes from outside is escaped here.

use super::entities::{Order, OrderStatus};
use super::pay_form::ReturnUrl;

/// The page of an order: two buttons, or the note that it is paid.
pub(crate) fn checkout(order: &Order, return_url: &ReturnUrl, declined: bool) -> String {
    let action = format!("/checkout/{}/pay", order.id);
    let amount = amount_text(order.amount, &order.currency);
    let back = escape(return_url.as_str());
    let body = if order.status == OrderStatus::Paid {
        format!(
            "<p role=\"status\">This order is paid.</p><p><a class=\"button\" href=\"{back}\">Back to your booking</a></p>"
        )
    } else {
        let note =
            if declined { "<p role=\"status\">The last attempt was declined. You can try again.</p>" } else { "" };
        format!(
            "{note}<form method=\"post\" action=\"{action}\">\n\
             <input type=\"hidden\" name=\"return_url\" value=\"{back}\">\n\
             <button class=\"pay\" name=\"outcome\" value=\"success\">Pay {amount}</button>\n\
             <button name=\"outcome\" value=\"failure\">Decline</button>\n</form>\n\
             <p><a href=\"{back}\">Leave without paying</a></p>"
        )
    };
    let reference = order
        .receipt
        .as_deref()
        .map_or_else(String::new, |receipt| format!("<div><dt>Reference</dt><dd>{}</dd></div>", escape(receipt)));
    let details = format!(
        "<dl><div><dt>Amount</dt><dd class=\"amount\">{amount}</dd></div>\
         <div><dt>Order</dt><dd>{}</dd></div>{reference}</dl>",
        escape(&order.id)
    );
    document("Checkout", &format!("{details}\n{body}"))
}

/// A refusal that a person reads.
pub(crate) fn refusal(description: &str) -> String {
    document("Checkout", &format!("<p role=\"alert\">{}</p>", escape(description)))
}

fn document(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · payment simulation</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <p class=\"simulation\"><strong>Simulation.</strong> This page stands in for a payment provider. \
         No money moves.</p>\n<h1>{title}</h1>\n{content}\n</main>\n</body>\n</html>\n"
    )
}

/// Minor units with two decimals, and the currency's code.
fn amount_text(amount: u64, currency: &str) -> String {
    let whole = (amount / 100).to_string();
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{} {grouped}.{:02}", escape(currency), amount % 100)
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8886; --accent: #1d5fd1; --accent-text: #fff; }
@media (prefers-color-scheme: dark) { :root { --accent: #8ab4ff; --accent-text: #10131a; } }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 26rem; margin: 0 auto; padding: 1.5rem 1.25rem; }
.simulation { border: 1px dashed var(--line); border-radius: .5rem; padding: .5rem .75rem; font-size: .9rem; }
h1 { font-size: 1.4rem; margin: 1.25rem 0 .5rem; }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: .4rem 0; border-bottom: 1px solid var(--line); }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.amount { font-weight: 600; font-size: 1.15rem; }
form { display: grid; gap: .6rem; margin: 1.25rem 0; }
button, .button { font: inherit; padding: .7rem 1rem; border: 1px solid var(--line); border-radius: .5rem; cursor: pointer; \
background: none; color: inherit; text-decoration: none; }
.pay { background: var(--accent); color: var(--accent-text); border-color: transparent; font-weight: 600; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_money() {
        for (amount, text) in [(100, "INR 1.00"), (123_456_789, "INR 1,234,567.89"), (99_905, "INR 999.05")] {
            assert_eq!(amount_text(amount, "INR"), text);
        }
    }
}
