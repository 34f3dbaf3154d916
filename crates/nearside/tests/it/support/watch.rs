//! What a test can see of a node from outside: its metrics, its API, its memory.

use serde_json::Value;

use super::{Client, Message, Nearside};

impl Nearside {
    /// The sum of all series of `/metrics` that begin with this.
    #[track_caller]
    pub fn counted(&self, series: &str) -> u64 {
        let page = self.ask("/metrics").text();
        let values = page
            .lines()
            .filter(|line| line.starts_with(series))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
        values.sum::<f64>() as u64
    }

    /// What its API answers to GET.
    #[track_caller]
    pub fn api(&self, path: &str) -> Value {
        let answer = self.ask(&format!("/api/v1/{path}"));
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Has it purge what this order names, and returns how many objects went.
    #[track_caller]
    pub fn purge(&self, order: &Value) -> u64 {
        let answer = self.order_purge(order);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let nodes = answer.json()["nodes"].clone();
        assert_eq!(nodes[0]["done"], true, "{nodes}");
        nodes[0]["removed"].as_u64().unwrap()
    }

    /// What its API answers to this order.
    #[track_caller]
    pub fn order_purge(&self, order: &Value) -> Message {
        let (host, body) = (self.admin, order.to_string());
        let mut client = Client::connect(self.admin).unwrap();
        let head = format!(
            "POST /api/v1/purge HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(head + &body).unwrap();
        client.answer().unwrap()
    }

    /// How many requests of cached routes came to this: `hit`, `miss`, ….
    pub fn results(&self, result: &str) -> u64 {
        self.counted(&format!("nearside_cache_requests_total{{result=\"{result}\"}}"))
    }

    /// What it tells of a tier of its cache.
    pub fn tier(&self, tier: &str) -> Value {
        let tiers = self.api("cache")["tiers"].clone();
        tiers.as_array().unwrap().iter().find(|it| it["tier"] == tier).cloned().unwrap()
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }
}
