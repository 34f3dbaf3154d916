//! A receiver's URL, taken apart once and strictly.
//!
//! Readers of URLs that differ are how a check for one host lets a request to another pass. So there
//! is one spelling of an address here, the standard library's, and what others might read as an
//! address or repair is refused.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use tokio_rustls::rustls::pki_types::{DnsName, ServerName};

use super::OutsideError;

/// The longest URL.
const LONGEST: usize = 8 * 1024;

/// Where a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub(super) tls: bool,
    pub(super) host: ServerName<'static>,
    pub(super) port: u16,
    /// Host, and the port unless it is the scheme's.
    pub(super) authority: Arc<str>,
    pub(super) path: Option<Arc<str>>,
}

impl Target {
    /// Takes `http://` and `https://` URLs apart (RFC 3986 §3).
    ///
    /// # Errors
    /// [`OutsideError::BadUrl`]: another scheme, a user's name, a fragment, or a host or port that isn't
    /// plainly one.
    pub fn parse(text: &str) -> Result<Target, OutsideError> {
        parse(text).map_err(OutsideError::BadUrl)
    }

    /// Path and query, if it names them.
    pub fn path(&self) -> Option<&str> {
        self.path.as_deref()
    }

    /// Does it lead to the same receiver, in the same manner? Then connections serve both.
    pub(super) fn has_origin_of(&self, other: &Target) -> bool {
        self.tls == other.tls && self.authority == other.authority
    }
}

fn parse(text: &str) -> Result<Target, &'static str> {
    if text.len() > LONGEST {
        return Err("it is too long");
    }
    if !wire::token::is_target(text.as_bytes()) || text.contains('\\') {
        return Err("it has a fragment, a backslash, or letters other than visible ASCII");
    }
    let (scheme, rest) = text.split_once("://").ok_or("it doesn't begin with https:// or http://")?;
    let tls = scheme.eq_ignore_ascii_case("https");
    if !tls && !scheme.eq_ignore_ascii_case("http") {
        return Err("it doesn't begin with https:// or http://");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("it names a user");
    }
    let own_port = if tls { 443 } else { 80 };
    let (host, port) = split(authority)?;
    let port = port.map_or(Ok(own_port), number)?;
    let authority =
        if port == own_port { host.to_lowercase() } else { format!("{}:{port}", host.to_lowercase()) };
    let path = match path.as_bytes() {
        [] => None,
        [b'?', ..] => Some(format!("/{path}").into()),
        _ => Some(path.into()),
    };
    Ok(Target { tls, host: name(host)?, port, authority: authority.into(), path })
}

/// Host and port of an authority; an IPv6 address stands in brackets.
fn split(authority: &str) -> Result<(&str, Option<&str>), &'static str> {
    let end = if authority.starts_with('[') {
        authority.find(']').ok_or("its host has no closing bracket")? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    match authority.split_at(end) {
        (host, "") => Ok((host, None)),
        (host, rest) => Ok((host, Some(rest.strip_prefix(':').ok_or("something follows its host")?))),
    }
}

fn number(port: &str) -> Result<u16, &'static str> {
    let plain = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    port.parse().ok().filter(|&port| plain && port != 0).ok_or("its port isn't a number from 1 to 65535")
}

fn name(host: &str) -> Result<ServerName<'static>, &'static str> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().map_err(|_| "its host isn't an IPv6 address")?;
        return Ok(ServerName::IpAddress(IpAddr::V6(ip).into()));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ServerName::IpAddress(ip.into()));
    }
    if is_numeric(host.strip_suffix('.').unwrap_or(host)) {
        return Err("its host is an address in an odd spelling");
    }
    let name = DnsName::try_from(host.to_lowercase()).map_err(|_| "its host isn't a name or an address")?;
    Ok(ServerName::DnsName(name))
}

/// Would some reader of URLs take it for an IPv4 address? Its last label is a number then, maybe a
/// hexadecimal one.
fn is_numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or(host).to_ascii_lowercase();
    match last.strip_prefix("0x") {
        Some(rest) => rest.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str) -> (bool, String, u16, String, Option<String>) {
        let target = Target::parse(text).unwrap();
        let host = target.host.to_str().into_owned();
        (target.tls, host, target.port, target.authority.to_string(), target.path().map(str::to_owned))
    }

    #[test]
    fn urls_are_taken_apart() {
        let expect = |tls, host: &str, port, authority: &str, path: Option<&str>| {
            (tls, host.to_owned(), port, authority.to_owned(), path.map(str::to_owned))
        };
        assert_eq!(seen("https://Hooks.Test"), expect(true, "hooks.test", 443, "hooks.test", None));
        assert_eq!(seen("HTTP://a_b.test:80/"), expect(false, "a_b.test", 80, "a_b.test", Some("/")));
        assert_eq!(
            seen("https://hooks.test:8443/in?a=b"),
            expect(true, "hooks.test", 8443, "hooks.test:8443", Some("/in?a=b"))
        );
        assert_eq!(seen("https://x.test?a=/b@c"), expect(true, "x.test", 443, "x.test", Some("/?a=/b@c")));
        assert_eq!(
            seen("http://10.0.0.1:8080/x"),
            expect(false, "10.0.0.1", 8080, "10.0.0.1:8080", Some("/x"))
        );
        assert_eq!(seen("https://[2001:DB8::7]:1"), expect(true, "2001:db8::7", 1, "[2001:db8::7]:1", None));
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for text in [
            "",
            "hooks.test",
            "//hooks.test",
            "ftp://hooks.test",
            "https:/hooks.test",
            "https://",
            "https:///in",
            "https://:443/",
            "https://hooks.test:",
            "https://hooks.test:0",
            "https://hooks.test:65536",
            "https://hooks.test:+80",
            "https://hooks.test:8o",
            "https://a@hooks.test",
            "https://a:b@hooks.test",
            "https://hooks.test#top",
            "https://hooks.test\\@evil.test",
            "https://hooks.test/a b",
            "https://hö.test",
            "https://%31.test",
            "https://a..test",
            "https://.test",
            "https://[::1",
            "https://[::1]x",
            "https://[fe80::1%25eth0]",
            "https://[127.0.0.1]",
            "https://::1",
            "https://2130706433",
            "https://127.1",
            "https://0x7f.1",
            "https://0x7f000001",
            "https://0x",
            "https://017700000001",
            "https://0127.0.0.1",
            "https://127.0.0.1.",
            "https://127.0.0.256",
            "https://1.2.3.4.5",
            "https://evil.0x7f",
            "https://a\nb.test",
        ] {
            assert!(matches!(Target::parse(text), Err(OutsideError::BadUrl(_))), "{text:?}");
        }
        assert!(Target::parse(&format!("https://a.test/{}", "x".repeat(LONGEST))).is_err());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let target = |text| Target::parse(text).unwrap();
        let plain = target("https://hooks.test/a");
        assert!(plain.has_origin_of(&target("HTTPS://HOOKS.test:443/b")));
        for other in ["http://hooks.test/a", "https://hooks.test:444/a", "https://hook.test/a"] {
            assert!(!plain.has_origin_of(&target(other)), "{other}");
        }
        assert!(!target("http://a.test:443").has_origin_of(&target("https://a.test:443")));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "(https?://)?[a-z0-9.:@#/\\[\\]?%x-]{0,24}") {
            if let Ok(target) = Target::parse(&text) {
                let again = format!("{}://{}", if target.tls { "https" } else { "http" }, target.authority);
                prop_assert!(Target::parse(&again).unwrap().has_origin_of(&target));
            }
        }

        #[test]
        fn every_address_is_taken_as_the_standard_library_writes_it(ip: IpAddr) {
            let text = if ip.is_ipv6() { format!("http://[{ip}]/") } else { format!("http://{ip}/") };
            prop_assert_eq!(Target::parse(&text).unwrap().host, ServerName::IpAddress(ip.into()));
        }
    }
}
