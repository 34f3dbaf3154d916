//! What the warehouse answers: the endpoint that the orders' queue delivers to. It fails now and then, as
//! receivers do, and writes down what it takes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};

use super::endpoint::Desk;
use super::orders::Ledger;
use super::{chance, lock};

/// How long an order takes it in the mean.
const TYPICAL: Duration = Duration::from_millis(5);
/// The share of orders, 0 to 1, to which it answers 500.
const FAILS: f64 = 0.2;
/// The request, counted from 0, to which it answers 429, once; about a second after the first.
const TIRED: u64 = 20;
/// Seconds that it then wants to be left alone.
const REST: &str = "1";

/// The warehouse.
#[derive(Clone)]
pub struct Warehouse {
    ledger: Arc<Mutex<Ledger>>,
    requests: Arc<AtomicU64>,
}

impl Warehouse {
    /// One that writes what it takes down here.
    pub fn new(ledger: Arc<Mutex<Ledger>>) -> Warehouse {
        Warehouse { ledger, requests: Arc::default() }
    }
}

impl Desk for Warehouse {
    async fn answer(&self, request: Request<Incoming>) -> Response<String> {
        tokio::time::sleep(chance::work(TYPICAL, fastrand::f64())).await;
        // Nothing is awaited from here on, so what is written down is also answered, even if a death comes now.
        let id = request.headers().get("webhook-id").and_then(|id| id.to_str().ok());
        let status = match id {
            Some(_) => status(self.requests.fetch_add(1, Relaxed), fastrand::f64()),
            None => StatusCode::BAD_REQUEST,
        };
        let mut response = Response::new(format!("the warehouse says {status}\n"));
        *response.status_mut() = status;
        match (status, id) {
            (StatusCode::OK, Some(id)) => lock(&self.ledger).take(id, Instant::now()),
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(REST));
            }
            _ => {}
        }
        response
    }
}

/// What becomes of the request that so many came before. `random` is uniform from 0 to below 1.
fn status(before: u64, random: f64) -> StatusCode {
    match before {
        TIRED => StatusCode::TOO_MANY_REQUESTS,
        _ if random < FAILS => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_fails_and_one_is_too_many() {
        let count = |wanted| (0..1000).filter(|&n| status(n, n as f64 / 1e3).as_u16() == wanted).count();
        assert_eq!([200, 429, 500].map(count), [800, 1, 199]);
    }
}
