//! Fields of a signed delivery: an id, a timestamp and signatures, a line each.
#![no_main]

use std::sync::LazyLock;

use config::plan::Secret;
use libfuzzer_sys::fuzz_target;
use queue::sign::{Signed, Signer, Unverified};

static SECRETS: LazyLock<[Secret; 2]> = LazyLock::new(|| {
    [Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()), Secret("a secret of some length".into())]
});
const BODY: &[u8] = br#"{"test": 2432232314}"#;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let signed = Signed { id: line(), timestamp: line(), signature: line() };
    let verify = |signature: &[u8]| Signed { signature, ..signed }.verify(BODY, &*SECRETS, 0, u64::MAX);

    let (Ok(id), Ok(timestamp)) = (str::from_utf8(signed.id), str::from_utf8(signed.timestamp)) else {
        return assert!(verify(signed.signature).is_err());
    };
    let number = timestamp.parse().unwrap_or(0);
    let mut signer = Signer::new(&*SECRETS, id, number);
    BODY.chunks(7).for_each(|piece| signer.update(piece));
    let good = signer.finish();
    let believed = verify(signed.signature);
    if believed.is_ok() {
        // Nothing but one of our signatures makes it so.
        let list = String::from_utf8_lossy(signed.signature);
        assert!(good.split(' ').any(|one| list.split(' ').any(|given| given == one)));
    }
    // Ours are believed wherever they stand in a list, and only in one.
    let both = [signed.signature, b" ", good.as_bytes()].concat();
    match (believed, verify(good.as_bytes())) {
        (Err(Unverified::Malformed), _) => assert_eq!(verify(&both), Err(Unverified::Malformed)),
        (Err(wrong @ (Unverified::Id | Unverified::Timestamp)), alone) => assert_eq!(alone, Err(wrong)),
        (_, alone) => {
            assert_eq!(alone, Ok(()));
            // A list that is long enough becomes too long.
            assert!(matches!(verify(&both), Ok(()) | Err(Unverified::Malformed)));
        }
    }
});
