//! What the endpoints of the shop and of pictures answer, at their speed; they count what they are asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hyper::body::Incoming;
use hyper::header::{HeaderValue, IF_NONE_MATCH};
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;

use super::endpoint::Desk;
use super::network::{Character, HEALTH_PATH, RANDOM_PATH};
use super::{chance, content};

/// The header field in which an endpoint says who it is.
pub const SERVED_BY: &str = "served-by";

/// What an endpoint had to do.
#[derive(Debug, Default)]
struct Work {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// One of the shop, or the one of pictures.
#[derive(Clone)]
pub struct Shop {
    character: &'static Character,
    workers: Arc<Semaphore>,
    work: Arc<Work>,
}

impl Shop {
    /// One of this character.
    pub fn new(character: &'static Character) -> Shop {
        Shop { character, workers: Arc::new(Semaphore::new(character.workers)), work: Arc::default() }
    }

    /// Requests that it answered in all its lives, checks of its health left out, and the bytes of their
    /// bodies.
    pub fn done(&self) -> (u64, u64) {
        (self.work.requests.load(Relaxed), self.work.bytes.load(Relaxed))
    }
}

impl Desk for Shop {
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        let worker = self.workers.acquire().await;
        tokio::time::sleep(chance::work(self.character.typical, fastrand::f64())).await;
        drop(worker);
        let path = request.uri().path();
        let asked = request.headers().get(IF_NONE_MATCH).map(HeaderValue::as_bytes);
        let response = answer(self.character.name, path, asked);
        if path != HEALTH_PATH {
            self.work.requests.fetch_add(1, Relaxed);
            self.work.bytes.fetch_add(response.body().len() as u64, Relaxed);
        }
        response
    }
}

/// What an endpoint answers, to one who may have it already.
fn answer(name: &'static str, path: &str, has: Option<&[u8]>) -> Response<String> {
    let mut response = Response::new(format!("endpoint {name} answers {path}\n"));
    let mut say = vec![(SERVED_BY, name)];
    if let Some(kind) = content::find(path.strip_prefix(RANDOM_PATH).unwrap_or(path)) {
        say.push(("cache-control", kind.cache_control));
        say.extend(kind.tag.map(|tag| ("cache-tag", tag)));
        say.extend(kind.etag.map(|etag| ("etag", etag)));
        if kind.etag.is_some_and(|etag| has == Some(etag.as_bytes())) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response.body_mut().clear();
        } else {
            fill(response.body_mut(), kind.bytes);
        }
    }
    for (field, value) in say {
        response.headers_mut().insert(field, HeaderValue::from_static(value));
    }
    response
}

/// Lengthens a text to so many bytes, in lines that a terminal can show.
fn fill(text: &mut String, bytes: usize) {
    const LINE: &str = "........................................................................\n";
    while text.len() < bytes {
        let left = bytes - text.len();
        text.push_str(&LINE[LINE.len().saturating_sub(left)..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::content::KINDS;

    #[test]
    fn each_kind_is_as_long_and_as_cacheable_as_it_says_on_both_sides() {
        for kind in &KINDS {
            for path in [kind.item(0), format!("{RANDOM_PATH}{}", kind.item(0))] {
                let response = answer("a", &path, None);
                assert_eq!(response.body().len(), kind.bytes, "{path}");
                assert_eq!(response.headers()["cache-control"], kind.cache_control, "{path}");
            }
        }
    }

    #[test]
    fn who_has_it_gets_no_body() {
        let etag = content::PICTURES.etag.map(str::as_bytes);
        let response = answer("e", "/pictures/1", etag);
        assert_eq!((response.status().as_u16(), response.body().len()), (304, 0));
        assert_eq!(answer("e", "/pictures/1", Some(b"\"2\"")).status(), 200);
    }
}
