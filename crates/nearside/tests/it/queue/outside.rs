//! Plain URLs as receivers: only public addresses unless the file allows others, and only certificates
//! that the node trusts.

use std::io::{self, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};

use super::{Receiver, id, post, quick};
use crate::support::{Message, Nearside, answer, command, request, scripted, until};

/// The file of a node whose queue delivers to this URL.
fn to(url: &str, rules: &str) -> String {
    format!("[queue.hooks]\ndeliver = [\"{url}\"]\n{rules}\n\n[[route]]\npath = \"/\"\nqueue = \"hooks\"\n")
}

/// The same command in a namespace of its own where `hooks.test` is this machine.
fn with_a_name(command: &Command) -> Command {
    let script = "echo 127.0.0.1 hooks.test > hosts && mount --bind hosts /etc/hosts && exec \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    unshare.arg(command.get_program()).args(command.get_args());
    unshare
}

const ALLOWED: &str = "allow_private_addresses = true";

#[test]
fn a_private_address_is_refused_by_the_file_and_after_its_name_is_looked_up() {
    let shop = Receiver::well();
    let port = shop.endpoint.address().port();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nearside.toml");
    for host in ["127.0.0.1", "10.0.0.1", "[::1]", "169.254.169.254", "0.0.0.0", "localhost"] {
        std::fs::write(&path, to(&format!("http://{host}:{port}"), "")).unwrap();
        let refused = command().arg("check").arg("-c").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&[refused.stdout, refused.stderr].concat()).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{host}: {said}");
        assert!(said.contains("allow_private_addresses"), "{host}: {said}");
    }
    let config = to(&format!("http://hooks.test:{port}"), "");
    let node = Nearside::start_by(&config, &["--grace", "0s"], |command, _| with_a_name(&command));
    let message = id(&post(node.listen, "", b"x").unwrap());
    let shown = || node.api(&format!("queues/hooks/messages/{message}"));
    until("it is given up", || shown()["state"] == "dead");
    let delivery = shown()["deliveries"][0].clone();
    assert_eq!(delivery["attempts"], 1, "{delivery}");
    assert!(delivery["answer"]["text"].as_str().unwrap().contains("no public address"), "{delivery}");
    assert_eq!(shop.endpoint.connections(), 0);
}

#[test]
fn a_url_that_is_allowed_gets_its_messages() {
    let shop = Receiver::well();
    let url = shop.endpoint.url();
    for (target, wanted) in [("", "/hooks/in?a=b"), ("/fixed?c=d", "/fixed?c=d")] {
        let node = Nearside::start(&to(&format!("{url}{target}"), ALLOWED));
        let message = id(&post(node.listen, "X-A: 1\r\n", b"out").unwrap());
        until("it is done", || node.api(&format!("queues/hooks/messages/{message}"))["state"] == "done");
        let came = shop.deliveries().pop().unwrap();
        assert_eq!((came.request.method(), came.request.target()), ("POST", wanted));
        assert_eq!(
            (came.id(), came.body().as_str(), came.request.field("x-a")),
            (message.as_str(), "out", Some("1"))
        );
        assert_eq!(came.request.all("host").collect::<Vec<_>>(), [shop.endpoint.address().to_string()]);
    }
}

/// An https server for `localhost`, what it got, and the certificate of who signed its own.
fn https() -> (SocketAddr, Arc<Mutex<Vec<Message>>>, String) {
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = CertificateParams::new(["ca.test".to_owned()]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let trusted = STANDARD.encode(authority.self_signed(&authority_key).unwrap().der());
    let trusted = format!("-----BEGIN CERTIFICATE-----\n{trusted}\n-----END CERTIFICATE-----\n");
    let own = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let config = ServerConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let (config, seen) = (Arc::new(config), Arc::<Mutex<Vec<Message>>>::default());
    let noted = seen.clone();
    let address = scripted(move |mut stream| {
        let mut tls = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
        let mut reader = BufReader::new(Stream::new(&mut tls, &mut stream));
        let Some(mut request) = Message::read_head(&mut reader)? else { return Ok(()) };
        request.read_body(&mut reader)?;
        noted.lock().unwrap().push(request);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    });
    (address, seen, trusted)
}

#[test]
fn https_wants_a_certificate_that_the_node_trusts() {
    let (server, seen, trusted) = https();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, trusted).unwrap();
    let config = to(&format!("https://localhost:{}/in", server.port()), &format!("{ALLOWED}\n{}", quick(2)));
    let start = |trusting: bool| {
        Nearside::start_by(&config, &["--grace", "0s"], |mut command, _| {
            if trusting {
                command.env("SSL_CERT_FILE", &authority);
            }
            command
        })
    };
    let wary = start(false);
    let message = id(&post(wary.listen, "", b"secret").unwrap());
    let shown = || wary.api(&format!("queues/hooks/messages/{message}"));
    until("it is given up", || shown()["state"] == "dead");
    let why = shown()["deliveries"][0]["answer"]["text"].as_str().unwrap().to_owned();
    assert!(why.contains("certificate is signed by nobody whom this node trusts"), "{why}");
    assert!(seen.lock().unwrap().is_empty());
    let trusting = start(true);
    let message = id(&post(trusting.listen, "", b"secret").unwrap());
    until("it is done", || trusting.api(&format!("queues/hooks/messages/{message}"))["state"] == "done");
    let came = seen.lock().unwrap()[0].clone();
    assert_eq!((came.start.as_str(), came.text().as_str()), ("POST /in HTTP/1.1", "secret"));
    assert_eq!(came.field("host"), Some(format!("localhost:{}", server.port()).as_str()));
}

#[test]
fn a_status_that_came_in_time_counts_whatever_follows_it() {
    let came = Arc::new(AtomicUsize::new(0));
    let counted = came.clone();
    let receiver = scripted(move |stream| {
        let (head, mut reader) = request(stream)?;
        let length = head.field("content-length").unwrap().parse().unwrap();
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        counted.fetch_add(1, Ordering::Relaxed);
        answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal")?;
        // No more comes before the node gives up.
        io::copy(&mut reader, &mut io::sink()).map(drop)
    });
    let rules = format!("{ALLOWED}\nsign = \"a secret of plain text\"\ntimeout = \"3s\"\n{}", quick(3));
    let node = Nearside::start(&to(&format!("http://{receiver}"), &rules));
    // To sign so much takes a part of the time.
    let message = id(&post(node.listen, "", &vec![b'x'; 8 << 20]).unwrap());
    let shown = || node.api(&format!("queues/hooks/messages/{message}"));
    until("it is over", || matches!(shown()["state"].as_str(), Some("done" | "dead")));
    let shown = shown();
    assert_eq!((shown["state"].as_str(), came.load(Ordering::Relaxed)), (Some("done"), 1), "{shown}");
}

#[test]
fn that_the_system_has_no_certificates_is_told_once() {
    let shop = Receiver::well();
    let config = format!("[node]\nthreads = 2\n\n{}", to(&shop.endpoint.url(), ALLOWED));
    let node = Nearside::start_by(&config, &["--grace", "0s"], |mut command, _| {
        command.env("SSL_CERT_FILE", "/there/are/none").env_remove("SSL_CERT_DIR");
        command
    });
    for _ in 0..20 {
        assert_eq!(post(node.listen, "", b"x").unwrap().status(), 202);
    }
    shop.until_count(20);
    node.until_said("those built in are used");
    assert_eq!(node.said().matches("has no certificates").count(), 1, "{}", node.said());
}
