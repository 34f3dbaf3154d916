//! Words with a grammar: names, hosts, paths, URLs, header fields. What is accepted here may be put
//! into a request or an answer as it is, so nothing that could break a line or a head gets through.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::kind::{Word, Wrong, choose, one_of};
use crate::near::nearest;
use crate::net::Cidr;
use crate::plan::{Bypass, Endpoint, HashBy, HedgeAfter, HostMatch, LogFormat, PathMatch, QueryKey};
use crate::report::quote;
use crate::scalar::{HOUR, Time};

/// Any text.
impl Word for Arc<str> {
    const WANTED: &'static str = "a string";
    const EXAMPLE: &'static str = "text";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        Ok(text.into())
    }
}

/// Declares words that keep their text and differ in what they allow.
macro_rules! words {
    ($( $(#[$about:meta])+ $word:ident, $wanted:literal, $example:literal, $check:expr; )+) => { $(
        $(#[$about])+
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $word(pub Arc<str>);

        impl Word for $word {
            const WANTED: &'static str = $wanted;
            const EXAMPLE: &'static str = $example;

            fn from_text(text: &str) -> Result<Self, Wrong> {
                let check: fn(&str) -> Result<(), Wrong> = $check;
                check(text).map(|()| Self(text.into()))
            }
        }
    )+ };
}

words! {
    /// The name of a service, a queue or a region.
    Name, "a name", "shop", |text| {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        allow(first && rest && text.len() <= 63, text, "a name",
            "names are of a-z, 0-9, `-` and `_`, begin with a letter or a digit, and have at most 63 characters")
    };
    /// The name of a node: a host's name will do.
    NodeName, "a name", "eu-1", |text| {
        let good = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        allow(good && !text.is_empty() && text.len() <= 253, text, "the name of a node",
            "names are of letters, digits, `-`, `_` and `.`, at most 253 of them")
    };
    /// A secret: no message repeats it.
    Token, "a string", "${NEARSIDE_ADMIN_TOKEN}", |text| {
        if text.bytes().all(|b| b.is_ascii_graphic()) && text.len() <= 1024 { return Ok(()); }
        Err(Wrong::new("the token can't be sent in a header field")
            .help("use at most 1024 ASCII characters and no spaces, such as `openssl rand -hex 32` gives"))
    };
    /// A header field's name (RFC 9110 §5.1).
    FieldName, "the name of a header field", "X-User", |text| {
        allow(is_token(text), text, "the name of a header field",
            "names are of letters, digits and !#$%&'*+-.^_`|~, without spaces or a colon (RFC 9110 §5.1)")
    };
    /// A header field that a route may change: not one that frames the message or belongs to the connection.
    OwnFieldName, "the name of a header field", "X-User", |text| {
        FieldName::from_text(text)?;
        let framing = ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer",
            "transfer-encoding", "upgrade"];
        if framing.iter().any(|name| text.eq_ignore_ascii_case(name)) {
            return Err(Wrong::new(format!("`{text}` can't be changed by a route: it frames the message")));
        }
        Ok(())
    };
    /// A header field's value (RFC 9110 §5.5), ASCII only.
    FieldValue, "the value of a header field", "text", |text| {
        let good = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ' || b == b'\t');
        let trimmed = text.trim_matches([' ', '\t']).len() == text.len();
        allow(good && trimmed, text, "the value of a header field",
            "values are of visible ASCII characters, with spaces only between them (RFC 9110 §5.5)")
    };
    /// A cookie's name (RFC 6265 §4.1.1).
    CookieName, "the name of a cookie", "nearside_shop", |text| {
        allow(is_token(text), text, "the name of a cookie", "write letters, digits, `-` and `_` only")
    };
    /// The name of a query's parameter, as it is sent.
    Parameter, "the name of a parameter", "v", |text| {
        let good = text.bytes().all(|b| b.is_ascii_graphic() && !b"&=#".contains(&b));
        allow(good && !text.is_empty(), text, "the name of a query's parameter",
            "write what is before the `=`, as it is sent: what is not ASCII, and any of &=#, as %XX")
    };
    /// A method (RFC 9110 §9.1), in upper case.
    Method, "a method", "GET", |text| {
        let upper = text.to_ascii_uppercase();
        if is_token(text) && upper != text {
            return Err(Wrong::new(format!("the method {} is not in upper case", quote(text)))
                .help(format!("write \"{upper}\": case matters in methods (RFC 9110 §9.1)")));
        }
        allow(is_token(text), text, "a method", "write for example \"GET\"")
    };
    /// What a check asks for: a path, and a query if it has one.
    Target, "a path", "/healthz", |text| {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        check_path(path)?;
        allow(query.bytes().all(|b| b.is_ascii_graphic() && b != b'#'), text, "a path", "escape it with %XX")
    };
    /// `Host` of a check: a name, with a port if need be.
    Authority, "a host", "shop.example.com", |text| {
        let (host, port) = split_port(text);
        check_host(host)?;
        allow(port.is_none_or(|port| port.parse::<u16>().is_ok()), text, "a host", "the port is from 1 to 65535")
    };
    /// Where a redirect leads.
    Location, "a URL or a path", "https://shop.example.com/new/{rest}", check_location;
}

fn allow(good: bool, text: &str, what: &str, help: &str) -> Result<(), Wrong> {
    if good { Ok(()) } else { Err(Wrong::new(format!("{} is not {what}", quote(text))).help(help)) }
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Splits `host:port`, `[v6]:port` and both without a port. The brackets stay.
pub(crate) fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// A host name, an IPv4 address, or an IPv6 address in brackets.
pub(crate) fn check_host(text: &str) -> Result<(), Wrong> {
    let not = |help: &str| Err(Wrong::new(format!("{} is not the name of a host", quote(text))).help(help));
    if let Some(inside) = text.strip_prefix('[') {
        let literal =
            inside.strip_suffix(']').is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok());
        return if literal { Ok(()) } else { not("write an IPv6 address as \"[2001:db8::1]\"") };
    }
    if !text.is_ascii() {
        return not("write it in its ASCII form, which begins with \"xn--\" (RFC 5890)");
    }
    if text.contains("://") || text.contains('/') {
        return not("write the name alone, such as \"shop.example.com\"");
    }
    if let Some((name, port)) = text.split_once(':') {
        return not(&format!("leave out the port `{}`: write {}", port.escape_debug(), quote(name)));
    }
    if let Some(name) = text.strip_suffix('.') {
        return not(&format!("leave out the dot at the end: write {}", quote(name)));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() > 253 || !text.split('.').all(label) {
        return not(
            "write labels of letters, digits and `-` with dots between them, such as \"shop.example.com\"",
        );
    }
    Ok(())
}

impl Word for HostMatch {
    const WANTED: &'static str = "the name of a host";
    const EXAMPLE: &'static str = "shop.example.com";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        if name.contains('*') {
            return Err(Wrong::new(format!("{} has a `*` where it can't be", quote(text)))
                .help("a `*` stands for the first labels only, such as \"*.example.com\""));
        }
        check_host(name)?;
        let lower = text.to_ascii_lowercase();
        Ok(match lower.strip_prefix('*') {
            Some(suffix) => Self::Suffix(suffix.into()),
            None => Self::Exact(lower.into()),
        })
    }
}

/// A path as it is on the wire (RFC 3986 §3.3): no query, no dot segments, escapes complete.
fn check_path(text: &str) -> Result<(), Wrong> {
    let not = |help: &str| Err(Wrong::new(format!("{} is not a path", quote(text))).help(help));
    if !text.starts_with('/') {
        return not(&format!("a path begins with \"/\": write \"/{}\"", text.escape_debug()));
    }
    if text.contains(['?', '#']) {
        return not("leave out what begins with `?` or `#`");
    }
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b'%' && !(hex(bytes.next()) && hex(bytes.next())) {
            return not("`%` is followed by two hexadecimal digits; the sign itself is \"%25\"");
        }
        if !byte.is_ascii_alphanumeric() && !b"/%-._~!$&'()*+,;=:@".contains(&byte) {
            return not(
                "write what is not a letter, a digit or one of -._~!$&'()*+,;=:@ as %XX (RFC 3986 §3.3)",
            );
        }
    }
    if text.split('/').any(|segment| segment == "." || segment == "..") {
        return not("leave out the segments `.` and `..`: no request has them when it is matched");
    }
    Ok(())
}

impl Word for PathMatch {
    const WANTED: &'static str = "a path";
    const EXAMPLE: &'static str = "/api/*";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        check_path(text)?;
        let prefix = text.strip_suffix('*').unwrap_or(text);
        if prefix.contains('*') {
            return Err(Wrong::new(format!("{} has a `*` before its end", quote(text))).help(
                "a path that ends in `*` or `/` is a prefix, such as \"/api/*\"; a literal `*` is \"%2A\"",
            ));
        }
        Ok(match prefix {
            "/" => Self::Any,
            _ if prefix.len() < text.len() || prefix.ends_with('/') => Self::Prefix(prefix.into()),
            _ => Self::Exact(prefix.into()),
        })
    }
}

/// A redirect's target goes into a header field, so it is visible ASCII, and its braces are known.
fn check_location(text: &str) -> Result<(), Wrong> {
    const FILLED: [(&str, ()); 4] = [("rest", ()), ("path", ()), ("query", ()), ("host", ())];
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(
            Wrong::new(format!("{} can't be sent in a header field", quote(text))).help("escape it with %XX")
        );
    }
    if !["/", "http://", "https://"].iter().any(|begin| text.starts_with(begin)) {
        return Err(Wrong::new(format!("{} is not a URL or a path", quote(text)))
            .help("begin it with \"https://\", \"http://\" or \"/\""));
    }
    let mut pieces = text.split('{');
    let unopened = pieces.next().is_some_and(|before| before.contains('}'));
    for piece in pieces {
        let (name, after) = piece.split_once('}').unwrap_or((piece, "}"));
        if after.contains('}') {
            return Err(unbalanced(text));
        }
        choose(name, &FILLED)?;
    }
    if unopened { Err(unbalanced(text)) } else { Ok(()) }
}

fn unbalanced(text: &str) -> Wrong {
    Wrong::new(format!("the braces of {} don't match", quote(text)))
        .help("{rest}, {path}, {query} and {host} are filled in")
}

/// The URL of an endpoint, which then has weight 1 and no region.
#[derive(Debug, Clone)]
pub(crate) struct EndpointUrl(pub Endpoint);

impl Word for EndpointUrl {
    const WANTED: &'static str = "a URL";
    const EXAMPLE: &'static str = "http://10.0.0.1:3000";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let not =
            |help: String| Wrong::new(format!("{} is not the URL of an endpoint", quote(text))).help(help);
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(not(format!("write \"http://{}\"", text.escape_debug())));
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if scheme == "https" {
            return Err(Wrong::new(format!("{} needs TLS, which is not in this build", quote(text))).help(
                format!("use \"http://{}\", or a later version of nearside", authority.escape_debug()),
            ));
        }
        if authority.contains('@') {
            return Err(Wrong::new("the URL of an endpoint has no user name or password")
                .help("give credentials by `headers` of the route"));
        }
        if scheme != "http" {
            return Err(not("it begins with \"http://\"".to_owned()));
        }
        if let Some((authority, _)) = authority.split_once(['/', '?', '#']) {
            return Err(not(format!(
                "requests keep their own path: write \"http://{}\"",
                authority.escape_debug()
            )));
        }
        let (host, port) = split_port(authority);
        check_host(host)?;
        let port = port.map_or(Some(80), |port| port.parse().ok().filter(|port| *port > 0));
        let port = port.ok_or_else(|| not("the port is from 1 to 65535".to_owned()))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let url = format!("http://{authority}").into();
        Ok(Self(Endpoint { url, host: bare.into(), port, weight: 1, region: None }))
    }

    fn shape() -> Json {
        json!({ "type": "string", "pattern": "^http://|\\$\\{" })
    }
}

/// What is looked up to find endpoints.
#[derive(Debug, Clone)]
pub(crate) enum DnsName {
    Address { host: Arc<str>, port: u16 },
    Srv(Arc<str>),
}

impl Word for DnsName {
    const WANTED: &'static str = "a name to look up";
    const EXAMPLE: &'static str = "shop.internal:3000";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if let Some(name) = text.strip_prefix("srv+") {
            check_host(name)?;
            return Ok(Self::Srv(name.into()));
        }
        let (host, port) = split_port(text);
        check_host(host)?;
        let port = port.and_then(|port| port.parse().ok()).filter(|port| *port > 0).ok_or_else(|| {
            Wrong::new(format!("{} has no port", quote(text))).help(
                "write \"name:port\" for A and AAAA records, or \"srv+_http._tcp.name\" for SRV records",
            )
        })?;
        Ok(Self::Address { host: host.into(), port })
    }
}

impl Word for HashBy {
    const WANTED: &'static str = "what the hash is taken of";
    const EXAMPLE: &'static str = "header:X-User";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text.split_once(':') {
            Some(("header", name)) => {
                FieldName::from_text(name).map(|name| Self::Header(name.0.to_ascii_lowercase().into()))
            }
            Some(("cookie", name)) => CookieName::from_text(name).map(|name| Self::Cookie(name.0)),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.into())),
            None if text == "path" => Ok(Self::Path),
            None if text == "client" => Ok(Self::Client),
            _ => Err(Wrong::new(format!("{} is nothing to take a hash of", quote(text)))
                .help("write \"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"path\" or \"client\"")),
        }
    }
}

/// Which part of a query is part of a key, where its parameters aren't named.
#[derive(Debug)]
pub(crate) struct QueryPart(pub QueryKey);

impl Word for QueryPart {
    const WANTED: &'static str = "which part of the query";
    const EXAMPLE: &'static str = "sorted";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let parts = [("all", QueryKey::All), ("sorted", QueryKey::Sorted), ("none", QueryKey::None)];
        choose(text, &parts).map(Self)
    }

    fn shape() -> Json {
        one_of(&["all", "sorted", "none"])
    }
}

impl Word for Bypass {
    const WANTED: &'static str = "what passes the cache by";
    const EXAMPLE: &'static str = "cookie:session";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        match text.split_once(':') {
            Some(("header", name)) => {
                FieldName::from_text(name).map(|name| Self::Header(name.0.to_ascii_lowercase().into()))
            }
            Some(("cookie", name)) => CookieName::from_text(name).map(|name| Self::Cookie(name.0)),
            Some(("query", name)) => Parameter::from_text(name).map(|name| Self::Query(name.0)),
            _ => Err(Wrong::new(format!("{} is not a header field, a cookie or a parameter", quote(text)))
                .help("write \"header:NAME\", \"cookie:NAME\" or \"query:NAME\"")),
        }
    }
}

/// The URL of a Valkey or Redis server. It may hold a password, so no message repeats it.
#[derive(Debug)]
pub(crate) struct RedisUrl(pub Arc<str>);

impl Word for RedisUrl {
    const WANTED: &'static str = "the URL of a Valkey or Redis server";
    const EXAMPLE: &'static str = "redis://127.0.0.1:6379";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let not = |help: &str| Wrong::new("this is not the URL of a Valkey or Redis server").help(help);
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        if scheme == "rediss" {
            return Err(Wrong::new("`rediss://` needs TLS, which is not in this build")
                .help("use \"redis://\", or a later version of nearside"));
        }
        if scheme != "redis" {
            return Err(not("it begins with \"redis://\", such as \"redis://127.0.0.1:6379\""));
        }
        let (login, server) = rest.rsplit_once('@').unwrap_or(("", rest));
        if !login.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@".contains(&b)) {
            return Err(not("write what is not a letter or a digit in the name and the password as %XX"));
        }
        let (authority, database) = server.split_once('/').unwrap_or((server, ""));
        let (host, port) = split_port(authority);
        if check_host(host).is_err() || port.is_some_and(|port| !port.parse().is_ok_and(|port: u16| port > 0))
        {
            return Err(not(
                "after the password and its `@` come a host and a port, such as \"redis://127.0.0.1:6379\"",
            ));
        }
        if !database.is_empty() && database.parse::<u32>().is_err() {
            return Err(not("after the host comes nothing, or the number of a database, such as \"/0\""));
        }
        Ok(Self(text.into()))
    }

    fn shape() -> Json {
        json!({ "type": "string", "pattern": "^redis://|\\$\\{" })
    }
}

impl Word for HedgeAfter {
    const WANTED: &'static str = "a duration or a percentile";
    const EXAMPLE: &'static str = "p95";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        let Some(percent) = text.strip_prefix('p') else {
            return <Time<1, HOUR>>::parse(text).map(|time| Self::Time(time.0));
        };
        let number = percent.parse::<f64>().ok().filter(|percent| (1.0..100.0).contains(percent));
        number.map(|percent| Self::Quantile(percent / 100.0)).ok_or_else(|| {
            Wrong::new(format!("{} is not a percentile", quote(text)))
                .help("write for example \"p95\" or \"p99.9\"")
        })
    }
}

/// One of the things that are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryWhen {
    Connect,
    Status(u16),
}

impl Word for RetryWhen {
    const WANTED: &'static str = "a string";
    const EXAMPLE: &'static str = "connect";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if text == "connect" {
            return Ok(Self::Connect);
        }
        let status = text.parse().ok().filter(|status| text.len() == 3 && (400..=599).contains(status));
        status.map(Self::Status).ok_or_else(|| {
            let help = match nearest(text, ["connect"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write \"connect\" or a status from \"400\" to \"599\"".to_owned(),
            };
            Wrong::new(format!("{} is not a reason to try again", quote(text))).help(help)
        })
    }
}

impl Word for LogFormat {
    const WANTED: &'static str = "a format";
    const EXAMPLE: &'static str = "json";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        choose(text, &[("json", Self::Json), ("common", Self::Common)])
    }

    fn shape() -> Json {
        one_of(&["json", "common"])
    }
}

/// A protocol that a listener speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Protocol;

impl Word for Protocol {
    const WANTED: &'static str = "a protocol";
    const EXAMPLE: &'static str = "http/1.1";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        if choose(text, &[("http/1.1", true), ("h2", false), ("h3", false)])? {
            return Ok(Self);
        }
        Err(Wrong::new(format!("`{text}` is not in this build"))
            .help("write \"http/1.1\", or use a later version of nearside"))
    }

    fn shape() -> Json {
        one_of(&["http/1.1"])
    }
}

impl Word for Cidr {
    const WANTED: &'static str = "a range of addresses";
    const EXAMPLE: &'static str = "10.0.0.0/8";

    fn from_text(text: &str) -> Result<Self, Wrong> {
        text.parse().map_err(|error| {
            Wrong::new(format!("{} is not a range of addresses: {error}", quote(text)))
                .help("write for example \"10.0.0.0/8\", \"192.0.2.7\" or \"2001:db8::/32\"")
        })
    }
}
