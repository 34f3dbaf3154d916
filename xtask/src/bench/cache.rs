//! Cache hits: the same object again and again, every cache beside every other.
//!
//! Each cache is set up as its manual advises for objects in memory: nginx keeps its files on a file
//! system in memory, open and sent by the kernel; HAProxy and Varnish have their own memory. Each
//! says in a field whether it was a hit, adds `Via` and a request's id, and keeps its connections.
//! That they were hits is the origin's word.

use std::fs;
use std::path::{Path, PathBuf};

use super::load::{Sample, check_answer, exchange, load};
use super::peer::{Peer, Ports, filled, nearside};
use super::process::Running;
use super::turns::{Row, cheapest, in_turns};
use super::{Ground, report};
use crate::failure::{Failure, Outcome, While};

/// What is asked for: the path, its length, and the name of that length.
const SIZES: &[(&str, usize, &str)] =
    &[("/o/1024/hit", 1 << 10, "1 KiB"), ("/o/102400/hit", 100 << 10, "100 KiB")];
/// Requests in a measurement that may reach the origin: none should.
const MISSES: u64 = 1;
/// nginx's files: in memory where there is such a file system.
const IN_MEMORY: &str = "/dev/shm";
const FILES: &str = "nearside-bench-nginx";

/// Measures each cache in each round, another one first each time, and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let names: Vec<&str> = SIZES.iter().map(|(_, _, name)| *name).collect();
    let peers = ground.among(Peer::CACHES);
    let rows = in_turns(
        ground.options.rounds,
        &peers,
        &names,
        |peer| start(ground, peer),
        |running, size| hits(ground, running, SIZES[size].0, SIZES[size].1),
    );
    let _ = fs::remove_dir_all(files(ground));
    Ok(section(&rows?))
}

fn start(ground: &Ground, peer: Peer) -> Outcome<Running> {
    let ports = ground.ports()?;
    let files = files(ground);
    let _ = fs::remove_dir_all(&files);
    fs::create_dir_all(&files).while_doing(format!("making {}", files.display()))?;
    ground.start_with(peer, ports, &config(peer, ports, &files))
}

fn files(ground: &Ground) -> PathBuf {
    let memory = Path::new(IN_MEMORY);
    if memory.is_dir() { memory.join(FILES) } else { ground.folder.join(FILES) }
}

/// Loads a cache with what it has, and sees that the origin was left alone.
fn hits(ground: &Ground, running: &Running, path: &str, length: usize) -> Outcome<Sample> {
    check_answer(running.port(), "localhost", path, length)?;
    let before = asked(ground)?;
    let sample = load(ground, running, "localhost", path)?;
    let misses = asked(ground)? - before;
    if misses > MISSES {
        return Err(Failure::Unmet(format!("{misses} requests for {path} were no hits")));
    }
    Ok(sample)
}

/// How many objects the origin has answered so far.
pub fn asked(ground: &Ground) -> Outcome<u64> {
    let (_, body) = exchange(ground.origin.port(), "localhost", "/count").while_doing("asking the origin")?;
    let text = String::from_utf8_lossy(&body);
    text.parse().map_err(|_| Failure::Unmet(format!("the origin counts `{text}`")))
}

fn config(peer: Peer, ports: Ports, files: &Path) -> String {
    let plain = match peer {
        Peer::Nearside => return nearside_with(ports, "memory = \"256MiB\""),
        Peer::Nginx => NGINX,
        Peer::Haproxy => HAPROXY,
        Peer::Varnish => VARNISH,
        Peer::Relay | Peer::Redis | Peer::Nats | Peer::NatsUnsynced => "",
    };
    filled(plain, ports).replace("{files}", &files.to_string_lossy())
}

/// nearside with one cached route, and this in its `cache` table.
pub fn nearside_with(ports: Ports, cache: &str) -> String {
    format!(
        "{}[cache]\n{cache}\n\n[[route]]\npath = \"/\"\nservice = \"origin\"\ncache = {{}}\n",
        nearside(ports)
    )
}

fn section(rows: &[Row]) -> String {
    let mut text = String::from(
        "Hits of one object in memory, 32 kept connections. The origin counts its requests: during the \
         measurements there were none.\n",
    );
    for (size, (_, _, name)) in SIZES.iter().enumerate() {
        let cheapest = cheapest(rows, size, &[Peer::Nginx, Peer::Haproxy, Peer::Varnish]);
        text += &format!(
            "\n| {name} | CPU µs a hit | to the cheapest of nginx, HAProxy and Varnish \
             | requests/s | p50 | p99 |\n|---|--:|--:|--:|--:|--:|\n"
        );
        for row in rows {
            text += &report::line(row.peer.title(), &row.medians[size], &[cheapest]);
        }
    }
    text
}

const NGINX: &str = r#"daemon off;
{user}
pid nginx.pid;
error_log nginx-error.log crit;
worker_processes 1;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=1000 inactive=10m;
    keepalive_timeout 10m;
    keepalive_requests 1000000000;
    client_body_temp_path nginx-body;
    proxy_temp_path nginx-proxy;
    fastcgi_temp_path nginx-fastcgi;
    uwsgi_temp_path nginx-uwsgi;
    scgi_temp_path nginx-scgi;
    proxy_cache_path {files} keys_zone=bench:16m inactive=1d max_size=256m use_temp_path=off;
    server {
        listen 127.0.0.1:{port} backlog=4096;
        location / {
            proxy_pass http://127.0.0.1:{origin};
            proxy_cache bench;
            add_header Via "1.1 nginx";
            add_header X-Request-Id $request_id;
            add_header X-Cache $upstream_cache_status;
        }
    }
}
"#;

/// What is done to an answer from the cache is only what `http-after-response` says.
const HAPROXY: &str = r#"global
    nbthread 1
    maxconn 1000
    tune.bufsize 32768
cache bench
    total-max-size 64
    max-object-size 1048576
    max-age 86400
defaults
    mode http
    backlog 4096
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout http-keep-alive 10m
frontend clients
    bind 127.0.0.1:{port}
    unique-id-format %[uuid()]
    http-after-response set-header Via "1.1 haproxy"
    http-after-response set-header X-Request-Id %[unique-id]
    http-after-response set-header X-Cache hit if { res.cache_hit }
    default_backend origin
backend origin
    http-request cache-use bench
    http-response cache-store bench
    server origin 127.0.0.1:{origin}
"#;

/// It adds `Via`, `Age` and its own `X-Varnish` by itself.
const VARNISH: &str = r#"vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "{origin}"; }
sub vcl_deliver {
    set resp.http.X-Request-Id = req.xid;
    if (obj.hits > 0) { set resp.http.X-Cache = "hit"; }
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_cheapest_other_cache() {
        let row = |peer, cpu| {
            let sample = Sample { cpu, rate: 20_000.4, p50: 629.0, p99: 1200.0, failed: 0.0, disturbed: 0.0 };
            Row { peer, medians: vec![sample; SIZES.len()] }
        };
        let text = section(&[row(Peer::Nearside, 8.0), row(Peer::Haproxy, 10.0), row(Peer::Varnish, 16.0)]);
        assert!(text.contains("| **Nearside** | 8.00 | 0.80 | 20000 | 629 µs | 1.20 ms |"), "{text}");
        assert!(text.contains("| Varnish | 16.00 | 1.60 |"), "{text}");
    }

    #[test]
    fn every_cache_has_a_configuration_without_gaps() {
        let ports = Ports { port: 1001, admin: 1002, origin: 1003 };
        for peer in Peer::CACHES {
            let text = config(*peer, ports, Path::new("/files"));
            assert!(text.contains("1003"), "{text}");
            assert!(
                !["{port}", "{origin}", "{files}", "{user}"].iter().any(|gap| text.contains(gap)),
                "{text}"
            );
        }
    }
}
