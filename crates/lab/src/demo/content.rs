//! What the demo's endpoints have to give and what of it users want: pure, from given random numbers.

use super::chance::Zipf;

/// One kind of content.
#[derive(Debug)]
pub struct Kind {
    /// What its paths begin with; the whole path, if there is only one.
    pub path: &'static str,
    /// How many there are, numbered from 1 by popularity.
    pub count: usize,
    /// The part of all requests, from 0 to 1, that are for it.
    share: f64,
    /// Bytes of a body.
    pub bytes: usize,
    /// What its answers say of caching. Times are as short as the demo, so that there is something to see.
    pub cache_control: &'static str,
    /// What a purge may name it by.
    pub tag: Option<&'static str>,
    /// Its answers carry an entity tag, so that what is stored can be confirmed without its body.
    pub etag: Option<&'static str>,
}

/// The kind that an endpoint of its own serves.
pub const PICTURES: &Kind = &KINDS[0];
/// The tag that is purged now and then.
pub const TAG: &str = "pages";
/// All kinds.
pub const KINDS: [Kind; 4] = [
    Kind {
        path: "/pictures/",
        count: 48,
        share: 0.4,
        bytes: 24 << 10,
        cache_control: "max-age=1",
        tag: None,
        etag: Some("\"1\""),
    },
    Kind {
        path: "/pages/",
        count: 100,
        share: 0.3,
        bytes: 8 << 10,
        cache_control: "max-age=2",
        tag: Some(TAG),
        etag: None,
    },
    Kind {
        path: "/api/",
        count: 40,
        share: 0.2,
        bytes: 1 << 10,
        cache_control: "max-age=1, stale-while-revalidate=10",
        tag: None,
        etag: None,
    },
    Kind {
        path: "/account",
        count: 1,
        share: 0.1,
        bytes: 2 << 10,
        cache_control: "private, max-age=60",
        tag: None,
        etag: None,
    },
];

/// What kind a path names, if it is one of them.
pub fn find(path: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| match kind.count {
        1 => path == kind.path,
        _ => path.starts_with(kind.path),
    })
}

impl Kind {
    /// Where its content of this popularity is, counted from 0.
    pub fn item(&self, index: usize) -> String {
        match self.count {
            1 => self.path.to_owned(),
            _ => format!("{}{}", self.path, index + 1),
        }
    }
}

/// What users want: some of it often, most of it seldom.
pub struct Wishes {
    popularity: [Zipf; KINDS.len()],
}

impl Wishes {
    /// Those of the demo.
    pub fn new() -> Wishes {
        Wishes { popularity: KINDS.each_ref().map(|kind| Zipf::new(kind.count)) }
    }

    /// A path that is asked for. Both numbers are uniform from 0 to below 1.
    pub fn path(&self, kind: f64, item: f64) -> String {
        let mut left = kind;
        let before_its_share = |kind: &Kind| {
            left -= kind.share;
            left < 0.0
        };
        // Shares add up to 1 but for rounding.
        let index = KINDS.iter().position(before_its_share).unwrap_or(KINDS.len() - 1);
        KINDS[index].item(self.popularity[index].pick(item))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_those_of_all() {
        let sum: f64 = KINDS.iter().map(|kind| kind.share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn each_kind_is_asked_for_as_often_as_it_says() {
        let wishes = Wishes::new();
        let asked = |path: &str| {
            let all = (0..1000).map(|n| wishes.path((f64::from(n) + 0.5) / 1e3, 0.0));
            all.filter(|asked| asked == path).count()
        };
        let counts = ["/pictures/1", "/pages/1", "/api/1", "/account"].map(asked);
        assert_eq!(counts, [400, 300, 200, 100]);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_is_there(kind in 0.0..1.0, item in 0.0..1.0) {
            let path = Wishes::new().path(kind, item);
            prop_assert!(find(&path).is_some(), "{path}");
        }
    }
}
