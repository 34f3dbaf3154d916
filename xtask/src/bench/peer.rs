//! Who is measured, and the proxies' configurations, each as its manual advises for this work: one
//! thread, kept connections to the origin, no access log, and the same header fields added to
//! requests and answers.
//!
//! nginx is given twice the connections that it may hold: it drops idle ones when fewer than a
//! sixteenth are left.
//!
//! Buffers are those that cost least over the three lengths. For nginx: passing on without its row of
//! buffers, which falls out of the core's cache (a 1 MiB answer costs twice as much with 16 of 64 KiB);
//! for HAProxy: 32 KiB, with which splicing saves nothing.

use std::fmt;
use std::path::Path;

use super::Ground;
use super::load::check_answer;
use crate::failure::Outcome;
use crate::tools;

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Ours.
    Nearside,
    /// With one worker.
    Nginx,
    /// With one thread.
    Haproxy,
    /// With one pool of threads; a cache only.
    Varnish,
    /// `xtask relay`.
    Relay,
    /// Its streams, synced before they are acknowledged; a log only.
    Redis,
    /// A JetStream file store, synced before it is acknowledged; a log only.
    Nats,
    /// The same, synced every two minutes, as it is by default.
    NatsUnsynced,
}

/// Ports of loopback: where a proxy listens, its own interface, and the origin.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Where clients come in.
    pub port: u16,
    /// nearside's admin listener.
    pub admin: u16,
    /// Who answers.
    pub origin: u16,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nearside => "nearside",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Varnish => "varnish",
            Self::Relay => "relay",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::NatsUnsynced => "nats-unsynced",
        })
    }
}

impl Peer {
    /// In the order of tables.
    pub const ALL: &[Self] = &[
        Self::Nearside,
        Self::Nginx,
        Self::Haproxy,
        Self::Varnish,
        Self::Relay,
        Self::Redis,
        Self::Nats,
        Self::NatsUnsynced,
    ];
    /// Those that relay.
    pub const PROXIES: &[Self] = &[Self::Nearside, Self::Nginx, Self::Haproxy, Self::Relay];
    /// Those that keep what they relayed.
    pub const CACHES: &[Self] = &[Self::Nearside, Self::Nginx, Self::Haproxy, Self::Varnish];

    /// Those that keep messages.
    pub const LOGS: &[Self] = &[Self::Nearside, Self::Redis, Self::Nats, Self::NatsUnsynced];

    /// The peer with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|peer| peer.to_string() == name)
    }

    /// Its name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Nearside => "**Nearside**",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Varnish => "Varnish",
            Self::Relay => "bare relay",
            Self::Redis => "Redis streams, `appendfsync always`",
            Self::Nats => "NATS JetStream, `sync_interval: always`",
            Self::NatsUnsynced => "NATS JetStream, default: not synced",
        }
    }

    /// A configuration that sends everything to the origin.
    pub fn config(self, ports: Ports) -> String {
        let plain = match self {
            Self::Nearside => {
                return nearside(ports) + "[[route]]\npath = \"/\"\nservice = \"origin\"\n";
            }
            Self::Nginx => NGINX,
            Self::Haproxy => HAPROXY,
            Self::Varnish | Self::Relay | Self::Redis | Self::Nats | Self::NatsUnsynced => "",
        };
        filled(plain, ports)
    }

    /// The command line that runs it in the foreground with the configuration in `file`.
    pub fn command(self, programs: &Path, folder: &Path, file: &Path, ports: Ports) -> Outcome<Vec<String>> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let line = match self {
            Self::Nearside => vec![text(&programs.join("nearside")), "run".into(), "-c".into(), text(file)],
            Self::Nginx => {
                let program = text(&tools::found("nginx")?);
                vec![program, "-p".into(), text(folder), "-c".into(), text(file)]
            }
            Self::Haproxy => vec![text(&tools::found("haproxy")?), "-db".into(), "-f".into(), text(file)],
            Self::Varnish => {
                let (state, listen) = (text(&folder.join("varnish")), format!("127.0.0.1:{}", ports.port));
                let line = [text(&tools::found("varnishd")?), "-n".into(), state, "-a".into(), listen];
                let plain = VARNISH.split_whitespace().map(str::to_owned);
                line.into_iter().chain(plain).chain(["-f".into(), text(file)]).collect()
            }
            Self::Relay => {
                let [port, origin] = [ports.port, ports.origin].map(|port| port.to_string());
                vec![text(&programs.join("xtask")), "relay".into(), port, origin]
            }
            Self::Redis => vec![text(&tools::found("redis-server")?), text(file)],
            Self::Nats | Self::NatsUnsynced => {
                vec![text(&tools::nats_server()?), "-c".into(), text(file)]
            }
        };
        Ok(line)
    }
}

/// A configuration with its ports filled in.
pub fn filled(config: &str, ports: Ports) -> String {
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    config
        .replace("{user}", user)
        .replace("{port}", &ports.port.to_string())
        .replace("{origin}", &ports.origin.to_string())
}

/// nearside's configuration up to its routes.
pub fn nearside(ports: Ports) -> String {
    let Ports { port, admin, origin } = ports;
    format!(
        r#"[node]
name = "bench"
threads = 1

[admin]
listen = "127.0.0.1:{admin}"

[limits]
connections = 20000
connections_per_client = 20000
idle_timeout = "10m"

[[listen]]
address = "127.0.0.1:{port}"

[service.origin]
endpoints = ["http://127.0.0.1:{origin}"]

"#
    )
}

/// One pool with a thread for each of the connections, which are kept; nothing is logged of a request.
const VARNISH: &str = "-F -j none -T none -s malloc,256m -p thread_pools=1 -p thread_pool_min=64 \
    -p timeout_idle=600 -p vsl_mask=-SessOpen,-SessClose,-Begin,-End,-Link,-Timestamp,-ReqStart,\
    -ReqMethod,-ReqURL,-ReqProtocol,-ReqHeader,-ReqUnset,-ReqAcct,-RespProtocol,-RespStatus,\
    -RespReason,-RespHeader,-RespUnset,-VCL_call,-VCL_return,-Hit,-Length";

const NGINX: &str = r#"daemon off;
{user}
pid nginx.pid;
error_log nginx-error.log crit;
worker_processes 1;
worker_rlimit_nofile 20000;
events { worker_connections 40000; }
http {
    access_log off;
    keepalive_timeout 10m;
    keepalive_requests 1000000000;
    client_body_temp_path nginx-body;
    proxy_temp_path nginx-proxy;
    fastcgi_temp_path nginx-fastcgi;
    uwsgi_temp_path nginx-uwsgi;
    scgi_temp_path nginx-scgi;
    upstream origin {
        server 127.0.0.1:{origin};
        keepalive 64;
        keepalive_requests 1000000000;
        keepalive_timeout 10m;
    }
    server {
        listen 127.0.0.1:{port} backlog=4096;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_buffer_size 128k;
            proxy_buffers 4 128k;
            proxy_busy_buffers_size 256k;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header Via "1.1 nginx";
            proxy_set_header X-Request-Id $request_id;
            add_header Via "1.1 nginx";
            add_header X-Request-Id $request_id;
        }
    }
}
"#;

const HAPROXY: &str = r#"global
    nbthread 1
    maxconn 19900
    no strict-limits
    tune.bufsize 32768
defaults
    mode http
    maxconn 19900
    backlog 4096
    http-reuse always
    timeout connect 5s
    timeout client 10m
    timeout server 10m
    timeout http-keep-alive 10m
frontend clients
    bind 127.0.0.1:{port}
    unique-id-format %[uuid()]
    unique-id-header X-Request-Id
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header Via "1.1 haproxy"
    http-response set-header Via "1.1 haproxy"
    http-response set-header X-Request-Id %[unique-id]
    default_backend origin
backend origin
    server origin 127.0.0.1:{origin}
"#;

/// Starts each peer, and sees that it really relays, before any time is spent on measuring.
pub fn check_all(ground: &Ground, peers: &[Peer], paths: &[(&str, usize)]) -> Outcome<()> {
    for peer in peers {
        let running = ground.start(*peer)?;
        for (path, length) in paths {
            check_answer(running.port(), "localhost", path, *length)?;
        }
    }
    Ok(())
}
