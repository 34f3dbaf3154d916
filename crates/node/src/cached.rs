//! The cache as operators see it: what it holds, and purges.

use std::sync::Arc;

use admin::cache::{CacheView, Cached, NodePurged, PurgeOrder, StoredView, TierState, TierView};
use cache::disk::State;
use cache::key::{self, Key};
use cache::ledger::What;
use cache::{Object, control, vary};
use config::plan::{Action, CacheRules, QueryKey};
use edge::{Kept, Live};
use upstream::clock::wall_ms;
use wire::RequestHead;

use crate::start::Inner;

/// The tiers at a glance.
pub(crate) fn view(inner: &Inner) -> CacheView {
    let plan = inner.live.load().plan.clone();
    let cache = &inner.shared.kept.cache;
    let mut tiers = vec![TierView {
        tier: "memory",
        state: TierState::Up,
        bytes: Some(cache.memory.bytes()),
        limit: Some(plan.cache.memory),
        objects: Some(cache.memory.objects()),
        evictions: cache.memory.evicted(),
    }];
    if let Some(disk) = cache.disk() {
        let state = match disk.state() {
            State::Well => TierState::Up,
            State::Starting => TierState::Starting,
            State::Full => TierState::Down { why: "the disk is full".to_owned() },
            State::Failing(why) => TierState::Down { why },
        };
        tiers.push(TierView {
            tier: "disk",
            state,
            bytes: Some(disk.bytes()),
            limit: plan.cache.disk.as_ref().map(|disk| disk.size),
            objects: Some(disk.objects()),
            evictions: disk.evicted(),
        });
    }
    if let Some(shared) = cache.shared() {
        let state = shared.trouble().map_or(TierState::Up, |why| TierState::Down { why });
        tiers.push(TierView { tier: "shared", state, bytes: None, limit: None, objects: None, evictions: 0 });
    }
    CacheView { tiers, requests: inner.shared.stats.snapshot().cache }
}

/// What is stored under the key of a request.
pub(crate) fn cached(inner: &Inner, rules: &CacheRules, request: &RequestHead) -> Cached {
    let mut key = Key::default();
    key.make("http", request, &rules.key);
    let control = control::of_request(&request.fields);
    let now = seconds();
    let fits = |object: &Object| vary::fits(object.variant(), &key.rule, &request.fields);
    let view = |tier, object: &Object| {
        let bytes = object.body().held();
        StoredView::of(tier, object, fits(object), bytes, &control, now)
    };
    let cache = &inner.shared.kept.cache;
    let mut stored: Vec<StoredView> = Vec::new();
    // None fits, so all are seen.
    cache.memory.peek(&key.primary, |object| {
        stored.push(view("memory", object));
        false
    });
    let deeper = tokio::runtime::Handle::current().block_on(async {
        let disk = match cache.disk() {
            Some(disk) => disk.get(&key.primary, fits).await,
            None => None,
        };
        let shared = match cache.shared() {
            Some(shared) => shared.get(&key.primary, fits).await,
            None => None,
        };
        [("disk", disk), ("shared", shared)]
    });
    for (tier, object) in deeper {
        stored.extend(object.filter(|object| cache.stands(object)).map(|object| view(tier, &object)));
    }
    stored.sort_by_key(|view| view.age);
    Cached {
        key: String::from_utf8_lossy(&key.primary).into_owned(),
        bypass: key::bypasses(request, &rules.bypass),
        stored,
    }
}

/// Purges what an order names.
pub(crate) async fn purge(live: Arc<Live>, kept: Arc<Kept>, order: PurgeOrder) -> Vec<NodePurged> {
    let mut removed = 0;
    let mut why: Option<String> = None;
    for what in named(&live, &order) {
        match kept.purge(what, order.soft).await {
            Ok(count) => removed += count,
            Err(error) => why = Some(error.to_string()),
        }
    }
    let node = &live.plan.node;
    vec![NodePurged {
        node: node.name.to_string(),
        region: node.region.to_string(),
        done: why.is_none(),
        removed,
        why,
    }]
}

/// All that an order names, each as it may be kept under.
fn named(live: &Live, order: &PurgeOrder) -> Vec<What> {
    if order.all {
        return vec![What::All];
    }
    let mut all = Vec::new();
    for url in &order.urls {
        for primary in primaries(live, url) {
            all.push(What::Url(primary.into()));
        }
    }
    all.extend(
        order.prefixes.iter().filter_map(|prefix| key::prefix(prefix)).map(|p| What::Prefix(p.into())),
    );
    all.extend(order.tags.iter().map(|tag| What::Tag(tag.as_bytes().into())));
    all
}

/// Under what a URL may be kept: as each route's rules for the query make it.
fn primaries(live: &Live, url: &str) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = key::of_url(url, &QueryKey::All).into_iter().collect();
    for route in &live.plan.routes {
        if let (Action::Forward(_), Some(rules)) = (&route.action, &route.cache)
            && let Some(primary) = key::of_url(url, &rules.key.query)
            && !all.contains(&primary)
        {
            all.push(primary);
        }
    }
    all
}

fn seconds() -> u64 {
    wall_ms() / 1000
}
