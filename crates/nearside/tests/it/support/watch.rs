//! What a test can see of a node from outside: its metrics, its API, its memory.

use serde_json::Value;

use super::Nearside;

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

    /// Its resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }
}
