//! `book`: turns a hold into a pending booking with an order at the payment provider.

use seatwire_protocol::ErrorBody;
use seatwire_protocol::command::{Book, BookingInfo};
use seatwire_protocol::limits::EMAIL_BYTES_MAX;

use crate::app::App;

pub(crate) async fn run(app: &App, command: Book) -> Result<BookingInfo, ErrorBody> {
    check_email(&command.email)?;
    super::allowed(app, &command.customer).await?;
    let outcome = app.saga.book(&command).await;
    failpoint!("book.reply");
    super::saga_outcome(app, command.show, outcome).await
}

/// Plainly: one @ with something on both sides, no spaces or control characters, no longer than the standard allows;
/// and such that the mail that confirms the booking can be addressed. Whether it can be delivered only a delivery can
/// tell.
fn check_email(email: &str) -> Result<(), ErrorBody> {
    let two_sides = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    let text = if email.len() > EMAIL_BYTES_MAX {
        format!("the e-mail address is longer than {EMAIL_BYTES_MAX} bytes")
    } else if email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "the e-mail address has a space or control character in it".to_owned()
    } else if email.matches('@').count() != 1 || !two_sides || email.parse::<lettre::Address>().is_err() {
        "an e-mail address such as ann@example.org is needed".to_owned()
    } else {
        return Ok(());
    };
    Err(ErrorBody::bad_request("email", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_pass_and_traps_do_not() {
        for right in ["ann@example.org", "a+b@x", "日本@例え.jp"] {
            assert_eq!(check_email(right), Ok(()), "{right}");
        }
        let long = format!("{}@example.org", "x".repeat(300));
        for wrong in [
            "",
            "ann",
            "@",
            "ann@",
            "@host",
            "a@b@c",
            "a\n@b",
            "a@b\r\nBcc: c@d",
            "a b@c",
            "a@b\0",
            "a@b>",
            "a<b@c",
            "a,b@c",
            &long,
        ] {
            assert_eq!(check_email(wrong).unwrap_err().field.as_deref(), Some("email"), "{wrong:?}");
        }
    }
}
