//! Who may ask?
//!
//! With a token, who knows it; probes are open to all, since they tell nothing. Without a token the
//! API listens on loopback only, and what must be kept out is a page in a browser on this machine:
//! one that gave its own name our address (DNS rebinding) is told by `Host`, one that sends a form
//! or a script's request across sites by `Sec-Fetch-Site` and `Origin`.

use std::hint::black_box;
use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use config::plan::Secret;

use crate::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What a load balancer or a supervisor asks, without a token.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// What a sender must show.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    /// What the API listens at.
    address: IpAddr,
    token: Option<Secret>,
}

impl Guard {
    pub(crate) fn new(address: IpAddr, token: Option<Secret>) -> Self {
        let address = address.to_canonical();
        Self { address, token }
    }

    /// May whoever sends this ask?
    ///
    /// # Errors
    /// The answer, if not.
    pub(crate) fn admit(&self, method: &Method, path: &str, fields: &HeaderMap) -> Result<(), Problem> {
        if PROBES.contains(&path) {
            return Ok(());
        }
        match &self.token {
            Some(token) if !has_token(fields, token) => return Err(unauthorized()),
            None if !self.is_host_ours(fields) => {
                return Err(Problem::forbidden(
                    "without a token the API answers only by a loopback name or address in Host",
                ));
            }
            _ => {}
        }
        if !method.is_safe() && is_cross_site(fields) {
            return Err(Problem::forbidden("another site's page may not change this node"));
        }
        Ok(())
    }

    fn is_host_ours(&self, fields: &HeaderMap) -> bool {
        let Some(host) = only(fields, &header::HOST).and_then(wire::target::host) else {
            return false;
        };
        let bare = host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]"));
        let Ok(host) = std::str::from_utf8(bare.unwrap_or(host)) else {
            return false;
        };
        match host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback() || ip.to_canonical() == self.address,
            Err(_) => host.eq_ignore_ascii_case("localhost"),
        }
    }
}

fn unauthorized() -> Problem {
    let detail = "the API wants `Authorization: Bearer` with the token of [admin]";
    Problem::new(StatusCode::UNAUTHORIZED, detail)
}

/// Does the request carry the token (RFC 6750 §2.1)?
fn has_token(fields: &HeaderMap, token: &Secret) -> bool {
    let given = only(fields, &header::AUTHORIZATION)
        .and_then(|value| value.split_at_checked("bearer ".len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
    given.is_some_and(|(_, given)| equal(given, token.0.as_bytes()))
}

/// Compares in a time that tells nothing of where two texts differ, only whether their lengths do.
fn equal(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| black_box(differ | (a ^ b)));
    a.len() == b.len() && differ == 0
}

/// Was the request made by a page of another site? What is no browser sends neither field.
fn is_cross_site(fields: &HeaderMap) -> bool {
    let site = fields.get_all(SEC_FETCH_SITE);
    if site.iter().any(|site| site != "same-origin" && site != "none") {
        return true;
    }
    let host = only(fields, &header::HOST);
    fields.get_all(header::ORIGIN).iter().any(|origin| {
        let scheme_end = origin.as_bytes().windows(3).position(|part| part == b"://");
        let authority = scheme_end.and_then(|end| origin.as_bytes().get(end + 3..));
        authority.is_none() || authority != host
    })
}

/// The value of a field that is there once.
fn only<'f>(fields: &'f HeaderMap, name: &HeaderName) -> Option<&'f [u8]> {
    let mut values = fields.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes())
}
