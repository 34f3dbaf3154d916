//! Which addresses a URL may lead to.

use std::time::Duration;

use upstream::outside::{Outside, OutsideError, Trust};

use super::receiver::{Caller, Receiver, always};
use super::{Ask, plain, status};
use crate::support::{A, AAAA, NameServer};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn asking(names: &NameServer) -> Outside {
    Outside::new(Trust::only([]).unwrap(), Some(names.address))
}

async fn refusal(outside: &Outside, url: &str) -> String {
    let ask = Ask { allow_private: false, ..Ask::default() };
    match ask.send(outside, url).await {
        Err(OutsideError::Private(ip)) => ip.to_string(),
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn private_addresses_are_refused_unasked() {
    let receiver = Receiver::start(always(OK)).await;
    let outside = plain();
    for host in ["127.0.0.1", "169.254.169.254", "10.1.2.3", "0.0.0.0"] {
        assert_eq!(refusal(&outside, &receiver.named(host, "/")).await, host);
    }
    for host in ["::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "fd00::1"] {
        assert_eq!(refusal(&outside, &receiver.named(&format!("[{host}]"), "/")).await.len(), {
            let ip: std::net::IpAddr = host.parse().unwrap();
            ip.to_string().len()
        });
    }
    for host in ["2130706433", "0x7f.1", "127.1", "0177.0.0.1"] {
        let failed = Ask::default().send(&outside, &receiver.named(host, "/")).await;
        assert!(matches!(failed, Err(OutsideError::BadUrl(_))), "{host}: {failed:?}");
    }
    assert_eq!(receiver.connections(), 0);
    assert_eq!(status(&outside, &receiver.url("/")).await, 200, "but where it is allowed");
}

#[tokio::test]
async fn names_of_private_addresses_are_refused() {
    let names = NameServer::start().await;
    names.set("inside.test.", A, 300, [vec![127, 0, 0, 1], vec![10, 0, 0, 1]]);
    names.set(
        "six.test.",
        AAAA,
        300,
        ["::ffff:127.0.0.1".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()],
    );
    let receiver = Receiver::start(always(OK)).await;
    let outside = asking(&names);
    let refused = refusal(&outside, &receiver.named("inside.test", "/")).await;
    assert!(["127.0.0.1", "10.0.0.1"].contains(&&refused[..]), "{refused}");
    refusal(&outside, &receiver.named("six.test", "/")).await;
    for host in ["localhost", "LOCALHOST.", "any.localhost"] {
        refusal(&outside, &receiver.named(host, "/")).await;
    }
    assert_eq!(receiver.connections(), 0);
    assert_eq!(status(&outside, &receiver.named("localhost", "/")).await, 200);
}

#[tokio::test]
async fn each_address_of_a_name_is_tried() {
    let names = NameServer::start().await;
    // Nothing listens at the first two.
    names.set("hooks.test.", A, 300, [vec![127, 0, 0, 2], vec![127, 0, 0, 3], vec![127, 0, 0, 1]]);
    let receiver = Receiver::start(always(OK)).await;
    let outside = asking(&names);
    assert_eq!(status(&outside, &receiver.named("hooks.test", "/")).await, 200);
    let host = format!("\r\nhost: hooks.test:{}\r\n", receiver.address.port());
    assert!(receiver.requests()[0].contains(&host), "{:?}", receiver.requests());
}

#[tokio::test]
async fn a_kept_connection_does_not_lead_in_who_may_not_go_there() {
    let receiver = Receiver::start(always(OK)).await;
    let outside = plain();
    assert_eq!(status(&outside, &receiver.url("/")).await, 200);
    assert_eq!(outside.kept(), 1);
    refusal(&outside, &receiver.url("/")).await;
    assert_eq!(status(&outside, &receiver.url("/")).await, 200);
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_receiver_that_cannot_be_found_or_reached_says_so() {
    let names = NameServer::start().await;
    let outside = asking(&names);
    let failed = Ask::default().send(&outside, "http://nowhere.test/").await.unwrap_err();
    assert!(failed.to_string().contains("nowhere.test") && failed.is_worth_a_retry(), "{failed}");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failed = Ask::default().send(&outside, &format!("http://{address}/")).await.unwrap_err();
    assert!(failed.to_string().starts_with(&format!("no connection to {address}: ")), "{failed}");
}

#[tokio::test]
async fn the_limit_for_connecting_holds_for_the_handshake_too() {
    let receiver = Receiver::start(|caller: Caller| async move {
        let _held = caller;
        std::future::pending::<()>().await;
    })
    .await;
    let ask = Ask { connect: Duration::from_millis(200), ..Ask::default() };
    let url = receiver.url("/").replace("http:", "https:");
    let failed = ask.send(&plain(), &url).await;
    assert!(matches!(failed, Err(OutsideError::ConnectTimeout)), "{failed:?}");
}
