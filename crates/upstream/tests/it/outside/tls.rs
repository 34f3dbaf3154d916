//! Certificates, good and bad.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use upstream::outside::{BadCertificate, Outside, OutsideError, Trust};

use super::bodies::Pieces;
use super::receiver::{Caller, Receiver, always};
use super::{Ask, plain};
use crate::support::{A, NameServer};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Signs certificates.
pub struct Authority {
    certificate: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["ca.test".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Authority { certificate, issuer: Issuer::new(params, key) }
    }

    /// A client that trusts it alone.
    pub fn client(&self, names: Option<SocketAddr>) -> Outside {
        Outside::new(Trust::only([self.certificate.clone()]).unwrap(), names)
    }

    /// For a server with these names.
    pub fn acceptor(&self, names: &[&str]) -> TlsAcceptor {
        self.acceptor_with(names, |_| {})
    }

    fn acceptor_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let mut params =
            CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config).into()
    }
}

#[tokio::test]
async fn a_receiver_with_a_good_certificate_is_believed() {
    let (authority, names) = (Authority::new(), NameServer::start().await);
    names.set("hooks.test.", A, 300, [vec![127, 0, 0, 1]]);
    let receiver = Receiver::with(Some(authority.acceptor(&["hooks.test"])), always(OK)).await;
    let outside = authority.client(Some(names.address));
    for host in ["hooks.test", "HOOKS.TEST"] {
        let ask = Ask::with(Pieces::of("hello"));
        let got = ask.send(&outside, &receiver.named(host, "/in")).await.unwrap();
        assert_eq!((got.status, &got.body[..]), (200, &b"ok"[..]));
    }
    assert_eq!(receiver.connections(), 1, "both are one name");
    assert!(receiver.requests()[0].ends_with("\r\n\r\nhello"), "{:?}", receiver.requests());
}

async fn refusal(outside: &Outside, receiver: &Receiver) -> BadCertificate {
    match Ask::default().send(outside, &receiver.url("/")).await {
        Err(OutsideError::Certificate(why)) => {
            assert!(receiver.requests().is_empty());
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn bad_certificates_are_told_apart() {
    let authority = Authority::new();
    let outside = authority.client(None);
    let name = &["127.0.0.1"];

    let other = Receiver::with(Some(authority.acceptor(&["hooks.test", "127.0.0.2"])), always(OK)).await;
    assert_eq!(refusal(&outside, &other).await, BadCertificate::WrongName);
    let stranger = Receiver::with(Some(Authority::new().acceptor(name)), always(OK)).await;
    assert_eq!(refusal(&outside, &stranger).await, BadCertificate::UnknownIssuer);
    let old = authority.acceptor_with(name, |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    });
    let old = Receiver::with(Some(old), always(OK)).await;
    assert_eq!(refusal(&outside, &old).await, BadCertificate::Expired);
    let early = authority.acceptor_with(name, |params| params.not_before = date_time_ymd(2900, 1, 1));
    let early = Receiver::with(Some(early), always(OK)).await;
    assert_eq!(refusal(&outside, &early).await, BadCertificate::NotYetValid);

    let good = Receiver::with(Some(authority.acceptor(name)), always(OK)).await;
    assert_eq!(refusal(&plain(), &good).await, BadCertificate::UnknownIssuer, "a client that trusts nobody");
    assert_eq!(super::status(&outside, &good.url("/")).await, 200);
    let failed = Ask::default().send(&outside, &old.url("/")).await.unwrap_err();
    assert_eq!(failed.to_string(), "the receiver's certificate has expired");
    assert!(failed.is_worth_a_retry(), "it may be renewed");
}

#[tokio::test]
async fn a_receiver_without_tls_is_not_asked_in_the_clear() {
    let receiver = Receiver::start(|mut caller: Caller| async move {
        caller.answer(b"HTTP/1.1 400 Speak up\r\n\r\n").await;
        caller.request().await;
    })
    .await;
    let url = receiver.url("/").replace("http:", "https:");
    let failed = Ask::default().send(&plain(), &url).await;
    assert!(matches!(failed, Err(OutsideError::Tls(_))), "{failed:?}");
    assert!(receiver.requests().is_empty());
}
