//! What the users of one side met, and how it is told.

use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;
use super::network::ENDPOINTS;

/// How an answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// An endpoint was asked for it.
    Asked,
    /// An endpoint was asked, but for another user who wanted the same.
    Collapsed,
    /// From the cache.
    Fresh,
    /// From the cache, though its time was over.
    Stale,
}

impl How {
    /// As the node says in `Cache-Status` (RFC 9211); without one there was no cache.
    pub fn told(status: Option<&[u8]>) -> How {
        let (mut hit, mut behind, mut collapsed, mut ttl) = (false, false, false, None);
        for parameter in status.unwrap_or_default().split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
            match parameter {
                b"hit" => hit = true,
                b"fwd=stale" => behind = true,
                b"collapsed" => collapsed = true,
                _ => ttl = parameter.strip_prefix(b"ttl=").and_then(number).or(ttl),
            }
        }
        match ttl {
            Some(..=0) if hit => How::Stale,
            _ if hit => How::Fresh,
            // What is stale after an endpoint was asked is old: the endpoint failed.
            Some(..0) if behind => How::Stale,
            _ if collapsed => How::Collapsed,
            _ => How::Asked,
        }
    }

    fn is_cached(self) -> bool {
        matches!(self, How::Fresh | How::Stale)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A good answer.
#[derive(Debug, Clone, Copy)]
pub struct Met {
    /// The endpoint that gave it, now or when it was stored.
    pub by: usize,
    /// How it came about.
    pub how: How,
    /// Bytes of its body.
    pub bytes: u64,
}

/// What was counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// The times of answers that endpoints gave, by endpoint.
    answers: [Histogram; ENDPOINTS.len()],
    /// The times of those from the cache.
    cached: Histogram,
    /// The stale ones of them, by the endpoint that once gave them.
    stale: [u64; ENDPOINTS.len()],
    collapsed: u64,
    bytes: u64,
    failed: u64,
}

/// One side, measured at its users and its endpoints.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Side {
    /// Requests that have ended.
    pub requests: u64,
    /// Those without a good answer.
    pub failed: u64,
    /// Milliseconds within which half of the good answers came, from when the request was to be sent.
    pub p50_ms: Option<f64>,
    /// Those within which 99 % came.
    pub p99_ms: Option<f64>,
    /// Bytes of bodies that users got.
    pub bytes: u64,
    /// The good answers from the cache.
    pub cache: Part,
    /// How many of them were stale.
    pub stale: u64,
    /// Milliseconds within which half of the other good answers came.
    pub others_p50_ms: Option<f64>,
    /// Those among the others for which another user's request was enough.
    pub collapsed: u64,
    /// Who gave the others.
    pub endpoints: Vec<Part>,
    /// What the endpoints had to do for all that.
    pub endpoint_work: EndpointWork,
}

/// What all endpoints of a side had to do, as they counted it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EndpointWork {
    /// Requests that they answered, also those that no user waited for; checks of health left out.
    pub requests: u64,
    /// Bytes of bodies that they sent.
    pub bytes: u64,
}

/// What one endpoint or the cache did for a side.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Part {
    /// `a` to `e`, or `cache`.
    pub name: &'static str,
    /// Its good answers.
    pub answers: u64,
    /// They as a share (0 to 1) of all good ones.
    pub share: f64,
    /// Milliseconds within which half of them came.
    pub p50_ms: Option<f64>,
    /// Milliseconds within which 99 % of them came.
    pub p99_ms: Option<f64>,
}

impl Side {
    /// Of the good answers, how many no endpoint had to give, and of their bytes, how many none had to send.
    pub fn saved(&self) -> EndpointWork {
        let good = self.requests - self.failed;
        EndpointWork {
            requests: good.saturating_sub(self.endpoint_work.requests),
            bytes: self.bytes.saturating_sub(self.endpoint_work.bytes),
        }
    }
}

impl Part {
    fn of(name: &'static str, times: &Histogram, all: u64) -> Part {
        Part {
            name,
            answers: times.count(),
            share: times.count() as f64 / all.max(1) as f64,
            p50_ms: times.quantile_ms(0.5),
            p99_ms: times.quantile_ms(0.99),
        }
    }
}

impl Tally {
    /// Counts a request that took this long: answered well, or not.
    pub fn note(&mut self, met: Option<Met>, took: Duration) {
        let Some(Met { by, how, bytes }) = met.filter(|met| met.by < ENDPOINTS.len()) else {
            self.failed += 1;
            return;
        };
        self.bytes += bytes;
        self.collapsed += u64::from(how == How::Collapsed);
        self.stale[by] += u64::from(how == How::Stale);
        let times = if how.is_cached() { &mut self.cached } else { &mut self.answers[by] };
        times.add(took);
    }

    /// Stale answers that this endpoint once gave.
    pub fn stale(&self, endpoint: usize) -> u64 {
        self.stale.get(endpoint).copied().unwrap_or_default()
    }

    /// What was counted since `earlier`, an older state of this one.
    pub fn since(&self, earlier: &Tally) -> Tally {
        Tally {
            answers: std::array::from_fn(|n| self.answers[n].since(&earlier.answers[n])),
            cached: self.cached.since(&earlier.cached),
            stale: std::array::from_fn(|n| self.stale[n].saturating_sub(earlier.stale[n])),
            collapsed: self.collapsed.saturating_sub(earlier.collapsed),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }

    /// What it comes to, if the endpoints did this for it.
    pub fn side(&self, endpoint_work: EndpointWork) -> Side {
        let mut others = Histogram::default();
        self.answers.iter().for_each(|answers| others.merge(answers));
        let mut all = self.cached.clone();
        all.merge(&others);
        let good = all.count();
        let named = ENDPOINTS.iter().zip(&self.answers);
        Side {
            requests: good + self.failed,
            failed: self.failed,
            p50_ms: all.quantile_ms(0.5),
            p99_ms: all.quantile_ms(0.99),
            bytes: self.bytes,
            cache: Part::of("cache", &self.cached, good),
            stale: self.stale.iter().sum(),
            others_p50_ms: others.quantile_ms(0.5),
            collapsed: self.collapsed,
            endpoints: named.map(|(is, answers)| Part::of(is.name, answers, good)).collect(),
            endpoint_work,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_the_sum_of_its_endpoints_its_cache_and_failures() {
        let mut tally = Tally::default();
        let met = |by, how| Some(Met { by, how, bytes: 100 });
        for (met, took) in [
            (met(0, How::Asked), 4),
            (met(0, How::Collapsed), 2),
            (met(3, How::Asked), 30),
            (met(3, How::Fresh), 1),
            (met(4, How::Stale), 1),
            (None, 900),
            (met(9, How::Asked), 900),
        ] {
            tally.note(met, Duration::from_millis(took));
        }
        let side = tally.side(EndpointWork { requests: 2, bytes: 150 });
        assert_eq!((side.requests, side.failed, side.bytes), (7, 2, 500));
        let parts: Vec<_> = side.endpoints.iter().map(|p| (p.name, p.answers)).collect();
        assert_eq!(parts, [("a", 2), ("b", 0), ("c", 0), ("d", 1), ("e", 0)]);
        assert_eq!((side.cache.answers, side.stale, side.collapsed), (2, 1, 1));
        assert_eq!(side.saved(), EndpointWork { requests: 3, bytes: 350 });
        assert!(side.cache.p50_ms < side.others_p50_ms);
        assert!(side.p99_ms < Some(31.0), "failed requests have no time: {side:?}");

        let earlier = tally.clone();
        tally.note(met(1, How::Stale), Duration::from_millis(5));
        let since = tally.since(&earlier).side(EndpointWork::default());
        assert_eq!((since.requests, since.failed, since.stale, since.cache.share), (1, 0, 1, 1.0));
        assert_eq!([tally.stale(1), tally.stale(4), tally.stale(9)], [1, 1, 0]);
    }

    #[test]
    fn the_node_says_how_an_answer_came_about() {
        for (status, how) in [
            ("nearside; hit; ttl=3", How::Fresh),
            ("nearside; hit; ttl=0", How::Stale),
            ("nearside; hit; ttl=-12", How::Stale),
            ("nearside; fwd=stale; ttl=-12", How::Stale),
            ("nearside; fwd=stale; fwd-status=503; ttl=-1", How::Stale),
            ("nearside; fwd=stale; fwd-status=304; ttl=1", How::Asked),
            ("nearside; fwd=uri-miss; ttl=2; stored; collapsed", How::Collapsed),
            ("nearside; fwd=uri-miss; detail=hit", How::Asked),
            ("nearside; fwd=bypass", How::Asked),
        ] {
            assert_eq!(How::told(Some(status.as_bytes())), how, "{status}");
        }
        assert_eq!(How::told(None), How::Asked);
    }
}
