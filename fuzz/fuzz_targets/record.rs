//! Whatever a disk or a shared tier gives back: a record is taken only as it was written, and a segment
//! never has records outside itself.
#![no_main]

use std::io;

use cache::disk::files::File;
use cache::disk::format::{self, HEADER, Header, MARK, TRAILER};
use cache::record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(head) = record::decode_head(input) {
        let object = head.object(cache::Body::Whole(Default::default()));
        let again = record::encode_head(&object).expect("it was one");
        let again = record::decode_head(&again).expect("it was written just now");
        // An object may keep its lines in another order.
        assert_eq!(record::Head { lines: head.lines, ..again }, head);
        assert_eq!(again.lines.len(), head.lines.len());
    }
    if let Some(object) = record::decode(input) {
        assert_eq!(record::encode(&object).map(|bytes| bytes.len()), Some(input.len()));
    }
    // The input as it is, and behind a good header, which nobody finds by chance.
    segment(input.to_vec());
    let length = (HEADER + input.len() + TRAILER) as u64;
    let header = Header { sequence: 7, length, seed: 1 }.encode();
    let mut bytes = [&header, input, &[0; TRAILER]].concat();
    segment(bytes.clone());
    // And with a good trailer, as if the input were the footer.
    let end = bytes.len() - TRAILER;
    bytes[end..].copy_from_slice(&format::trailer(input, 7, HEADER as u32));
    segment(bytes);
});

fn segment(bytes: Vec<u8>) {
    let bytes = Bytes(bytes);
    let Some(found) = format::read(&bytes).expect("what is read is there") else { return };
    assert!(found.header.length <= bytes.0.len() as u64);
    let last = found.header.length as usize - TRAILER;
    let mut at = HEADER;
    for mark in &found.marks {
        let begin = mark.offset as usize;
        let end = begin + MARK + mark.len as usize;
        assert!(end <= last);
        // Without a footer they were gone through, and those that are torn were left out.
        if found.end.is_some() {
            assert!(begin >= at && mark.payload(&bytes.0[begin..end]).is_some());
            at = end;
        }
    }
    assert!(found.end.is_none_or(|end| at <= end as usize && end as usize <= last));
}

struct Bytes(Vec<u8>);

impl File for Bytes {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        let bytes = self.0.get(at as usize..).and_then(|bytes| bytes.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn read_now(&self, buf: &mut [u8], at: u64) -> io::Result<()> {
        self.read(buf, at)
    }

    fn write(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn reserve(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
