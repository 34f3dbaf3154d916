//! What the demo is made of: its endpoints, and the configuration that its node runs.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

/// How an example endpoint is.
#[derive(Debug)]
pub struct Character {
    /// What it is called on the screen, and calls itself in its answers.
    pub name: &'static str,
    /// How long a request takes it in the mean, if none is before.
    pub typical: Duration,
    /// Requests that it works on at the same time; others wait.
    pub workers: usize,
}

const fn character(name: &'static str, millis: u64) -> Character {
    Character { name, typical: Duration::from_millis(millis), workers: 4 }
}

/// The endpoints. The slowest can do 100 requests a second, so a quarter of [`RATE`] is no overload
/// for it: random choice has a fair chance.
pub const ENDPOINTS: [Character; 4] =
    [character("a", 4), character("b", 8), character("c", 16), character("d", 40)];
/// Which of them dies and returns.
pub const MORTAL: usize = 1;
/// Requests that users send to each side in a second.
pub const RATE: f64 = 200.0;
/// The service that Nearside balances as it can.
pub const NEARSIDE: &str = "shop";
/// What a request to the other service begins with.
pub const RANDOM_PATH: &str = "/random";

/// The node's file. Both services have endpoints of the same characters, each its own.
pub fn text(listen: SocketAddr, admin: SocketAddr, nearside: &[SocketAddr], random: &[SocketAddr]) -> String {
    format!(
        r#"[node]
name = "demo"
threads = 2

[admin]
listen = "{admin}"

[[listen]]
address = "{listen}"

[service.{NEARSIDE}]
balance = "latency"
endpoints = [
{nearside}]
health = {{ every = "500ms", fall = 2 }}
outliers = {{ errors = 3, eject = "1s" }}
retry = {{ attempts = 2 }}

[service.random]
balance = "random"
endpoints = [
{random}]
outliers = false
retry = {{ attempts = 0 }}

[[route]]
service = "{NEARSIDE}"

[[route]]
path = "{RANDOM_PATH}/*"
service = "random"
"#,
        nearside = list(nearside),
        random = list(random),
    )
}

fn list(addresses: &[SocketAddr]) -> String {
    let mut lines = String::new();
    for (address, is) in addresses.iter().zip(&ENDPOINTS) {
        let ms = is.typical.as_millis();
        let _ = writeln!(lines, "  \"http://{address}\",  # {}, about {ms} ms", is.name);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::plan::Balance;
    use std::path::Path;

    #[test]
    fn the_configuration_holds_without_a_warning() {
        let [listen, admin] = [8080, 9900].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let near = [1, 2, 3, 4].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let random = [5, 6, 7, 8].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = text(listen, admin, &near, &random);
        let loaded = config::parse(&text, "demo", Path::new(""), &|_| None)
            .unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let random = &loaded.plan.services["random"];
        assert_eq!(random.balance, Balance::Random);
        assert_eq!((random.retry.attempts, &random.outliers, &random.health), (0, &None, &None));
        assert_eq!(loaded.plan.services[NEARSIDE].endpoints.len(), ENDPOINTS.len());
    }
}
