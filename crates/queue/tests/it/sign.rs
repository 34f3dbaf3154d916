//! Signatures, as the standard's own vectors and another implementation have them.

use config::plan::Secret;
use proptest::prelude::*;
use queue::sign::{Signed, Signer, Unverified};

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: u64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const STANDARD: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn standard() -> Secret {
    Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into())
}

fn plain() -> Secret {
    Secret("a secret of some length".into())
}

fn sign(secrets: &[Secret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let mut signer = Signer::new(secrets, id, timestamp);
    signer.update(body);
    signer.finish()
}

fn verify(signature: &str) -> Result<(), Unverified> {
    let timestamp = TIMESTAMP.to_string();
    let signed =
        Signed { id: ID.as_bytes(), timestamp: timestamp.as_bytes(), signature: signature.as_bytes() };
    signed.verify(BODY, &[standard()], TIMESTAMP, 0)
}

/// The first is the standard's; the others were made with Python's `hmac`.
#[test]
fn signatures_are_those_that_others_make() {
    assert_eq!(sign(&[standard()], ID, TIMESTAMP, BODY), STANDARD);
    let plain_of = |body| sign(&[plain()], "msg_1", 1_700_000_000, body);
    assert_eq!(plain_of(b"\x00\xff\r\n"), "v1,7aPdV70N1Fy2yj/wHCqDjkieyU2k9WLgg+BG35rXk18=");
    assert_eq!(plain_of(b""), "v1,1SP8jwJv8iWoMCBDmt4fdBbz0g/blQdLgt3fL6H4iOY=");
    assert_eq!(
        sign(&[Secret("hunter2hunter2hunter2".into())], "x", 0, b"abc"),
        "v1,ld3wAc5pP5+uFx1yiinvHljPLMbGQDzSyMORKEiUvUY="
    );
}

#[test]
fn two_secrets_make_two_signatures() {
    let both = sign(&[plain(), standard()], ID, TIMESTAMP, BODY);
    let alone = sign(&[plain()], ID, TIMESTAMP, BODY);
    assert_eq!(both, format!("{alone} {STANDARD}"));
    assert_eq!(verify(&both), Ok(()));
    assert_eq!(verify(&alone), Err(Unverified::Signature));
    assert_eq!(sign(&[], ID, TIMESTAMP, BODY), "");
    assert_eq!(sign(&[Secret("short".into())], ID, TIMESTAMP, BODY), "", "no plan holds such a secret");
}

#[test]
fn signatures_of_others_are_passed_over() {
    let zeros = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(verify(&format!("v1a,AAAA v2,bm9wZQ== {zeros} {STANDARD}")), Ok(()));
    assert_eq!(verify(&format!("v1a,AAAA {zeros}")), Err(Unverified::Signature));
    assert_eq!(verify(&STANDARD.replace("v1,", "v2,")), Err(Unverified::Signature));
}

#[test]
fn lists_that_are_none() {
    for list in [
        "",
        " ",
        "v1",
        "v1,",
        "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
        "v1,bm9wZQ==",
        "v1=g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "x,AAAA",
        &STANDARD.replace('+', "-"),
        &format!("{STANDARD} "),
        &format!("{STANDARD}  {STANDARD}"),
        &format!("{STANDARD},{STANDARD}"),
        &[STANDARD; 60].join(" "),
    ] {
        assert_eq!(verify(list), Err(Unverified::Malformed), "{list}");
    }
}

#[test]
fn what_is_changed_is_not_believed() {
    let timestamp = TIMESTAMP.to_string();
    let good = Signed { id: ID.as_bytes(), timestamp: timestamp.as_bytes(), signature: STANDARD.as_bytes() };
    let verify = |signed: &Signed<'_>, body, secret, now| signed.verify(body, &[secret], now, 300);
    assert_eq!(verify(&good, BODY, standard(), TIMESTAMP), Ok(()));
    assert_eq!(verify(&good, b"{}", standard(), TIMESTAMP), Err(Unverified::Signature));
    assert_eq!(verify(&good, BODY, plain(), TIMESTAMP), Err(Unverified::Signature));
    assert_eq!(good.verify(BODY, &[], TIMESTAMP, 300), Err(Unverified::Signature));
    let id = Signed { id: b"msg_x", ..good };
    assert_eq!(verify(&id, BODY, standard(), TIMESTAMP), Err(Unverified::Signature));
    let later = Signed { timestamp: b"1614265331", ..good };
    assert_eq!(verify(&later, BODY, standard(), TIMESTAMP), Err(Unverified::Signature));

    for now in [TIMESTAMP - 300, TIMESTAMP + 300] {
        assert_eq!(verify(&good, BODY, standard(), now), Ok(()));
    }
    for now in [TIMESTAMP - 301, TIMESTAMP + 301, 0, u64::MAX] {
        assert_eq!(verify(&good, BODY, standard(), now), Err(Unverified::Time));
    }
    for timestamp in
        ["", "+1614265330", "01614265330", "1614265330.0", "16142653300000000000000", " 1614265330"]
    {
        let signed = Signed { timestamp: timestamp.as_bytes(), ..good };
        assert_eq!(verify(&signed, BODY, standard(), TIMESTAMP), Err(Unverified::Timestamp), "{timestamp}");
    }
    for id in [&b""[..], b"msg.1", b"msg 1", b"msg\xff", &[b'a'; 257]] {
        assert_eq!(verify(&Signed { id, ..good }, BODY, standard(), TIMESTAMP), Err(Unverified::Id));
    }
}

proptest! {
    #[test]
    fn pieces_change_nothing(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8), timestamp: u64) {
        let secrets = [plain(), standard()];
        let mut signer = Signer::new(&secrets, ID, timestamp);
        pieces.iter().for_each(|piece| signer.update(piece));
        let (signature, body) = (signer.finish(), pieces.concat());
        prop_assert_eq!(&signature, &sign(&secrets, ID, timestamp, &body));
        let text = timestamp.to_string();
        let signed = Signed { id: ID.as_bytes(), timestamp: text.as_bytes(), signature: signature.as_bytes() };
        let readable = text.len() <= 19;
        for secret in secrets {
            let verified = signed.verify(&body, &[secret], timestamp, 0);
            prop_assert_eq!(verified, if readable { Ok(()) } else { Err(Unverified::Timestamp) });
        }
    }

    #[test]
    fn any_bytes_are_not_believed(id: Vec<u8>, timestamp in "[0-9]{0,12}|\\PC{0,9}", signature in "(v1,[A-Za-z0-9+/]{43}= ?){0,3}|\\PC{0,60}") {
        let signed = Signed { id: &id, timestamp: timestamp.as_bytes(), signature: signature.as_bytes() };
        prop_assert!(signed.verify(b"", &[plain()], 0, u64::MAX).is_err());
    }
}
