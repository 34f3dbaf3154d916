//! Why a delivery to a plain URL got no answer, so that an operator can tell whose turn it is.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio_rustls::rustls::{CertificateError, Error as TlsError};

use crate::client::BodyError;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum OutsideError {
    #[error("the URL can't be used: {0}")]
    BadUrl(&'static str),
    #[error("the message can't be sent: {0}")]
    BadMessage(&'static str),
    #[error("the URL leads to {0}, which is no public address (allow_private_addresses = true would let it)")]
    Private(IpAddr),
    #[error("{0}")]
    Name(String),
    #[error("no connection to {address}: {why}")]
    Connect { address: SocketAddr, why: io::Error },
    #[error("no connection in time")]
    ConnectTimeout,
    #[error("the receiver's certificate {0}")]
    Certificate(BadCertificate),
    #[error("no TLS with the receiver: {0}")]
    Tls(String),
    #[error("no answer in time")]
    Timeout,
    #[error("the receiver closed the connection before its answer was whole")]
    Closed,
    #[error("the connection broke before an answer came: {0}")]
    Broken(String),
    #[error("the answer isn't HTTP/1.1: {0}")]
    BadAnswer(String),
    #[error("the message's body can't be read: {0}")]
    Body(#[source] BodyError),
}

/// What is wrong with a receiver's certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum BadCertificate {
    #[error("is signed by nobody whom this node trusts")]
    UnknownIssuer,
    #[error("has expired")]
    Expired,
    #[error("isn't valid yet")]
    NotYetValid,
    #[error("is for another name")]
    WrongName,
    #[error("was revoked")]
    Revoked,
    #[error("can't be accepted: {0}")]
    Other(String),
}

impl OutsideError {
    /// May it be different next time, without a change to the configuration or the message?
    pub fn is_worth_a_retry(&self) -> bool {
        !matches!(self, Self::BadUrl(_) | Self::BadMessage(_) | Self::Private(_))
    }

    /// Of a handshake that failed.
    pub(super) fn of_handshake(why: &io::Error) -> OutsideError {
        match why.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
            Some(TlsError::InvalidCertificate(why)) => Self::Certificate(BadCertificate::of(why)),
            Some(why) => Self::Tls(why.to_string()),
            None => Self::Tls(why.to_string()),
        }
    }

    /// Of an exchange that failed before the answer's head was there.
    pub(super) fn of_exchange(why: &hyper::Error) -> OutsideError {
        if why.is_parse() || why.is_parse_too_large() || why.is_parse_status() {
            Self::BadAnswer(why.to_string())
        } else if why.is_incomplete_message() {
            Self::Closed
        } else if why.is_body_write_aborted() {
            Self::Body(BodyError::Closed)
        } else {
            Self::Broken(innermost(why))
        }
    }
}

impl BadCertificate {
    fn of(why: &CertificateError) -> BadCertificate {
        match why {
            // An authority of the same name with another key makes it a bad signature.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Self::NotYetValid,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            CertificateError::Revoked => Self::Revoked,
            other => Self::Other(other.to_string()),
        }
    }
}

/// What hyper says of an error tells little; its cause is the system's or rustls's word.
fn innermost(why: &dyn Error) -> String {
    let mut why = why;
    while let Some(source) = why.source() {
        why = source;
    }
    why.to_string()
}
