//! What the demo is made of: its endpoints, and the configuration that its node runs.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::content::PICTURES;

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

/// The endpoints: those of the shop, and the only one that has pictures. The shop's slowest can do 100
/// requests a second, which is more than a quarter of those for the shop, and the pictures' 200, which is
/// more than those for pictures: without a cache and chosen at random, none is overloaded.
pub const ENDPOINTS: [Character; 5] =
    [character("a", 4), character("b", 8), character("c", 16), character("d", 40), character("e", 20)];
/// How many of them are the shop's.
pub const SHOP: usize = 4;
/// Which of them die and return, at the same time.
pub const MORTALS: [usize; 2] = [1, 4];
/// Requests that users send to each side in a second.
pub const RATE: f64 = 200.0;
/// Orders that users post in a second.
pub const ORDER_RATE: f64 = 20.0;
/// Where they post them.
pub const ORDERS_PATH: &str = "/orders";
/// The queue that keeps them.
pub const QUEUE: &str = "orders";
/// The services that Nearside serves as it can, in the order of their endpoints.
pub const NEARSIDE: [&str; 2] = ["shop", "pictures"];
/// What a request to the other services begins with.
pub const RANDOM_PATH: &str = "/random";
/// The line of the file behind which the services for comparison stand.
pub const PLAIN: &str = "# The same below /random, without any of that.";
/// Where the node asks whether an endpoint is well.
pub const HEALTH_PATH: &str = "/health";

/// Where all of it is.
pub struct Places<'a> {
    /// For users.
    pub listen: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
    /// Nearside's endpoints, in the order of [`ENDPOINTS`].
    pub near: &'a [SocketAddr],
    /// Those chosen at random, in the same order.
    pub random: &'a [SocketAddr],
    /// Where orders are delivered to.
    pub warehouse: SocketAddr,
    /// What the node keeps.
    pub data: &'a Path,
}

/// The node's file. Both sides have endpoints of the same characters, each its own.
pub fn text(places: &Places<'_>) -> String {
    let Places { listen, admin, warehouse, data, .. } = places;
    let [shop, pictures] = NEARSIDE;
    let [near, random] = [places.near, places.random].map(list);
    let path = PICTURES.path;
    let orders = orders(*warehouse);
    format!(
        r#"[node]
name = "demo"
threads = 2
data = {data:?}

[admin]
listen = "{admin}"

[[listen]]
address = "{listen}"

[limits]
connections_per_client = 4096  # all users are one machine here

[[route]]
service = "{shop}"
cache = {{}}

[[route]]
path = "{path}*"
service = "{pictures}"
cache = {{ stale_if_error = "1m" }}

[service.{shop}]
balance = "latency"
endpoints = [
{}]
health = {{ path = "{HEALTH_PATH}", every = "500ms", fall = 2 }}
outliers = {{ errors = 3, eject = "1s" }}
retry = {{ attempts = 2 }}

[service.{pictures}]
endpoints = [
{}]
health = {{ path = "{HEALTH_PATH}", every = "500ms", fall = 2 }}

{orders}
{PLAIN}
[[route]]
path = "{RANDOM_PATH}/*"
service = "random-{shop}"

[[route]]
path = "{RANDOM_PATH}{path}*"
service = "random-{pictures}"

[service.random-{shop}]
balance = "random"
endpoints = [
{}]
outliers = false
retry = {{ attempts = 0 }}

[service.random-{pictures}]
endpoints = [
{}]
outliers = false
retry = {{ attempts = 0 }}
"#,
        near[0], near[1], random[0], random[1],
    )
}

/// What becomes of orders.
fn orders(warehouse: SocketAddr) -> String {
    format!(
        r#"[[route]]
path = "{ORDERS_PATH}"
methods = ["POST"]
queue = "{QUEUE}"

[queue.{QUEUE}]
deliver = ["warehouse"]
retry = {{ attempts = 100, first = "200ms", longest = "2s" }}
keep = {{ done = "10s" }}

[service.warehouse]
endpoints = ["http://{warehouse}"]
outliers = false  # it fails now and then, and there is no other
"#
    )
}

/// The endpoints of the shop, and those of pictures.
fn list(addresses: &[SocketAddr]) -> [String; 2] {
    let mut lists = [String::new(), String::new()];
    for (index, (address, is)) in addresses.iter().zip(&ENDPOINTS).enumerate() {
        let ms = is.typical.as_millis();
        let _ = writeln!(
            lists[usize::from(index >= SHOP)],
            "  \"http://{address}\",  # {}, about {ms} ms",
            is.name
        );
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::plan::Balance;

    #[test]
    fn the_configuration_holds_without_a_warning() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let text = text(&Places {
            listen: at(8080),
            admin: at(9900),
            near: &[1, 2, 3, 4, 5].map(at),
            random: &[6, 7, 8, 9, 10].map(at),
            warehouse: at(11),
            data: Path::new("/tmp/\"a\\b"),
        });
        let loaded = config::parse(&text, "demo", Path::new(""), &|_| None)
            .unwrap_or_else(|report| panic!("{report}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let service = |name: &str| &loaded.plan.services[name];
        for name in ["random-shop", "random-pictures"] {
            let random = service(name);
            assert_eq!((random.retry.attempts, &random.outliers, &random.health), (0, &None, &None));
        }
        assert_eq!(service("random-shop").balance, Balance::Random);
        let counts = NEARSIDE.map(|name| service(name).endpoints.len());
        assert_eq!(counts, [SHOP, ENDPOINTS.len() - SHOP]);
        let cached = loaded.plan.routes.iter().filter(|route| route.cache.is_some()).count();
        assert_eq!(cached, 2, "only Nearside's routes are");
        assert_eq!(loaded.plan.node.data, Path::new("/tmp/\"a\\b"));
        assert_eq!(loaded.plan.queues.len(), 1);
    }
}
