//! New services get a moment to find their endpoints before requests are sent their way: the names of
//! a node that starts are all unknown, and refusing requests meanwhile would make each start an outage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use upstream::Registry;

/// How long all services together may take; a name that isn't found by then may never be.
const LIMIT: Duration = Duration::from_secs(3);
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Waits till each service has an endpoint to choose, or for [`LIMIT`]; blocking. Nobody waits for the
/// services in `lost`: they had none before either.
pub(crate) fn settle(registry: &Registry, lost: &[Arc<str>]) {
    let over = Instant::now() + LIMIT;
    while Instant::now() < over && awaited(registry).iter().any(|name| !lost.contains(name)) {
        std::thread::sleep(LOOK);
    }
}

/// The services that have nobody to choose yet.
pub(crate) fn awaited(registry: &Registry) -> Vec<Arc<str>> {
    let all = registry.all();
    all.iter().filter(|service| service.is_awaited()).map(|service| service.name().clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn names_are_waited_for_but_not_those_that_were_lost_before() {
        let text = r#"
            [[listen]]
            address = "127.0.0.1:0"
            [service.near]
            endpoints = ["http://localhost:1"]
            [service.lost]
            endpoints = ["http://nobody.invalid:1"]
            [[route]]
            service = "near"
        "#;
        let plan = config::parse(text, "nearside.toml", Path::new("/"), &|_| None).unwrap().plan;
        let background = tokio::runtime::Runtime::new().unwrap();
        // Nobody answers there.
        let options =
            upstream::Options { name_server: Some(([127, 0, 0, 1], 9).into()), ..Default::default() };
        let registry = Registry::new(options, background.handle().clone(), Arc::new(|_| {}));
        registry.apply(&plan);
        let lost: Arc<str> = "lost".into();
        settle(&registry, std::slice::from_ref(&lost));
        assert_eq!(awaited(&registry), [lost]);
        assert!(registry.get("near").unwrap().is_usable());
    }
}
