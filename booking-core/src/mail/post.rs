//! How mail leaves: over SMTP, into files of a folder, or not at all. Errors never carry what a server said: servers
//! like to repeat the address.

use std::path::PathBuf;
use std::time::Duration;

use hyper::Uri;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransport, Error as SmtpError};
use lettre::{AsyncTransport, Message, Tokio1Executor};

/// For each answer of the server. A server may look long at a message; giving up early would send it twice.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How a certificate begins in a file.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// Where mail goes.
#[derive(Clone)]
pub enum Post {
    /// Nowhere: events are marked as they come.
    Off,
    /// One file a mail, for demos.
    Folder(PathBuf),
    /// A server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

/// Mail can't leave like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// An address of no known kind.
    #[error("must be smtp://[USER:PASSWORD@]HOST[:PORT][?tls=required], smtps://… or file:FOLDER")]
    Address,
    /// No certificates.
    #[error("must be a file of PEM certificates")]
    Certificates,
}

/// Why a mail was not sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// Not now.
    Deferred(String),
    /// Never like this.
    Refused(String),
    /// The server may have taken it.
    Unknown(String),
}

impl Post {
    /// Reads an address; connects to nothing yet. Without one, mail is off. A server is known by a certificate of a public
    /// authority, or of `authorities` (PEM).
    ///
    /// # Errors
    /// [`PostError`].
    pub fn open(url: &str, authorities: Option<&[u8]>) -> Result<Self, PostError> {
        if url.is_empty() {
            return Ok(Self::Off);
        }
        if let Some(folder) = url.strip_prefix("file:") {
            let folder = folder.strip_prefix("//").unwrap_or(folder);
            return if folder.is_empty() { Err(PostError::Address) } else { Ok(Self::Folder(folder.into())) };
        }
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| PostError::Address)?;
        if let Some(pem) = authorities {
            builder = builder.tls(tls(url, pem)?);
        }
        Ok(Self::Smtp(builder.timeout(Some(ANSWER_WITHIN)).build()))
    }

    /// A send that lasts longer is given up.
    pub(super) const fn send_within(&self) -> Duration {
        match self {
            Self::Off | Self::Folder(_) => Duration::from_secs(5),
            Self::Smtp(_) => Duration::from_secs(90),
        }
    }

    /// Whether mail can be sent at all: the server answers, knows us and takes mail.
    pub(super) async fn look(&self) -> Result<(), String> {
        match self {
            Self::Off => Ok(()),
            Self::Folder(folder) => tokio::fs::create_dir_all(folder).await.map_err(|e| e.to_string()),
            Self::Smtp(server) => match server.test_connection().await {
                Ok(true) => Ok(()),
                Ok(false) => Err("the server does not answer".to_owned()),
                Err(error) => Err(told(&error)),
            },
        }
    }

    /// Sends. A file of this name is replaced by the same mail.
    pub(super) async fn send(&self, name: &str, message: Message) -> Result<(), Unsent> {
        match self {
            Self::Off => Ok(()),
            Self::Folder(folder) => {
                let (unfinished, file) = (folder.join(format!(".{name}")), folder.join(name));
                let written = async {
                    tokio::fs::write(&unfinished, message.formatted()).await?;
                    tokio::fs::rename(&unfinished, &file).await
                };
                written.await.map_err(|e| Unsent::Deferred(e.to_string()))
            }
            Self::Smtp(server) => match server.send(message).await {
                Ok(_) => Ok(()),
                Err(error) if error.is_transient() => Err(Unsent::Deferred(told(&error))),
                Err(error) if error.is_permanent() || error.is_client() => Err(Unsent::Refused(told(&error))),
                Err(error) => Err(Unsent::Unknown(told(&error))),
            },
        }
    }
}

/// TLS as the address says, with further authorities.
fn tls(url: &str, authorities: &[u8]) -> Result<Tls, PostError> {
    let url: Uri = url.parse().map_err(|_| PostError::Address)?;
    let host = url.host().ok_or(PostError::Address)?.trim_matches(['[', ']']).to_owned();
    // A file without certificates is read as none.
    if !authorities.windows(PEM.len()).any(|text| text == PEM) {
        return Err(PostError::Certificates);
    }
    let authorities = Certificate::from_pem(authorities).map_err(|_| PostError::Certificates)?;
    let builder = TlsParameters::builder(host).add_root_certificate(authorities);
    let parameters = builder.build().map_err(|_| PostError::Certificates)?;
    let asks_for = |wanted: &str| url.query().is_some_and(|query| query.split('&').any(|part| part == wanted));
    Ok(match url.scheme_str() {
        Some("smtps") => Tls::Wrapper(parameters),
        _ if asks_for("tls=required") => Tls::Required(parameters),
        _ if asks_for("tls=opportunistic") => Tls::Opportunistic(parameters),
        _ => Tls::None,
    })
}

/// What went wrong, without the server's words.
fn told(error: &SmtpError) -> String {
    match error.status() {
        Some(code) => format!("smtp: the server said {code}"),
        None if error.is_client() => "smtp: the server can't take such an address".to_owned(),
        None if error.is_tls() => "smtp: no TLS".to_owned(),
        None if error.is_timeout() => "smtp: no answer in time".to_owned(),
        None if error.is_response() => "smtp: an answer that is none".to_owned(),
        None => "smtp: connection failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_mail_are_read() {
        assert!(matches!(Post::open("", None), Ok(Post::Off)));
        assert!(
            matches!(Post::open("file:.data/mail", None), Ok(Post::Folder(folder)) if folder.ends_with(".data/mail"))
        );
        assert!(
            matches!(Post::open("file:///var/mail", None), Ok(Post::Folder(folder)) if folder.ends_with("/var/mail"))
        );
        for right in ["smtp://localhost:2525", "smtps://ann:top@mail.example.org", "smtp://h:587?tls=required"] {
            assert!(matches!(Post::open(right, None), Ok(Post::Smtp(_))), "{right}");
        }
        for wrong in ["file:", "mail.example.org", "http://mail.example.org", "smtp://h?tls=maybe"] {
            assert!(Post::open(wrong, None).is_err(), "{wrong}");
        }
    }
}
