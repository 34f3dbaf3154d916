//! Traces of requests as libCacheSim keeps them: `csv` with a header, and `oracleGeneral`, uncompressed.
//!
//! A trace is foreign data of any length: a file that is cut off or has a line that can't be read is
//! refused with the place, because a ratio over half a trace would look like one over all of it.

use std::fs;
use std::path::Path;

/// One request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Which object.
    pub id: u64,
    /// Its bytes; never 0.
    pub size: u32,
}

/// Why a trace can't be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TraceError {
    #[error("{0}")]
    Unreadable(String),
    #[error("the first line names no column `{0}`")]
    NoColumn(&'static str),
    #[error("line {0}: its `obj_id` or `obj_size` is missing or not a number that fits")]
    Line(usize),
    #[error("{0} bytes are no whole number of records of {RECORD}")]
    CutOff(usize),
    #[error("record {0} is of time {1}, before {2}: not an oracleGeneral trace, or compressed")]
    Time(usize, u32, u32),
    #[error("no requests in it")]
    Empty,
}

/// Bytes of a record in `oracleGeneral`: time u32, object u64, size u32, next access i64.
const RECORD: usize = 24;

/// Names of the columns, the common ones of libCacheSim's own examples.
const ID_NAMES: [&str; 4] = ["obj_id", "id", "object", "key"];
const SIZE_NAMES: [&str; 3] = ["obj_size", "size", "object_size"];

/// Reads a trace; the ending `.csv` or `.txt` says that it is text.
pub fn read(path: &Path, delimiter: char) -> Result<Vec<Request>, TraceError> {
    let bytes = fs::read(path).map_err(|e| TraceError::Unreadable(format!("{}: {e}", path.display())))?;
    let is_text = path.extension().is_some_and(|ending| ending == "csv" || ending == "txt");
    let requests =
        if is_text { csv(&String::from_utf8_lossy(&bytes), delimiter)? } else { oracle_general(&bytes)? };
    if requests.is_empty() { Err(TraceError::Empty) } else { Ok(requests) }
}

/// Lines of columns; the first line names them.
pub fn csv(text: &str, delimiter: char) -> Result<Vec<Request>, TraceError> {
    let mut lines = text.lines();
    let header: Vec<String> = lines.next().unwrap_or_default().split(delimiter).map(plain).collect();
    let column = |names: &[&str]| header.iter().position(|name| names.contains(&name.as_str()));
    let id = column(&ID_NAMES).ok_or(TraceError::NoColumn("obj_id"))?;
    let size = column(&SIZE_NAMES).ok_or(TraceError::NoColumn("obj_size"))?;
    let mut requests = Vec::new();
    for (index, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let columns: Vec<&str> = line.split(delimiter).map(str::trim).collect();
        let read = || {
            let id = columns.get(id).filter(|id| !id.is_empty())?;
            let size: u32 = columns.get(size)?.parse().ok()?;
            // Names that are not numbers will do as well: only sameness counts.
            Some(Request { id: id.parse().unwrap_or_else(|_| name_hash(id)), size: size.max(1) })
        };
        requests.push(read().ok_or(TraceError::Line(index + 2))?);
    }
    Ok(requests)
}

/// Records of 24 bytes in order of time.
pub fn oracle_general(bytes: &[u8]) -> Result<Vec<Request>, TraceError> {
    let (records, rest) = bytes.as_chunks::<RECORD>();
    if !rest.is_empty() {
        return Err(TraceError::CutOff(bytes.len()));
    }
    let mut requests = Vec::with_capacity(records.len());
    let mut before = 0;
    for (index, record) in records.iter().enumerate() {
        let [t0, t1, t2, t3, i0, i1, i2, i3, i4, i5, i6, i7, s0, s1, s2, s3, ..] = *record;
        let time = u32::from_le_bytes([t0, t1, t2, t3]);
        if time < before {
            return Err(TraceError::Time(index, time, before));
        }
        before = time;
        let size = u32::from_le_bytes([s0, s1, s2, s3]).max(1);
        requests.push(Request { id: u64::from_le_bytes([i0, i1, i2, i3, i4, i5, i6, i7]), size });
    }
    Ok(requests)
}

fn plain(name: &str) -> String {
    name.trim().trim_start_matches('#').trim().to_ascii_lowercase()
}

/// FNV-1a: the same in every run.
fn name_hash(name: &str) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: u32, id: u64, size: u32) -> Vec<u8> {
        let next: i64 = -2;
        [&time.to_le_bytes()[..], &id.to_le_bytes(), &size.to_le_bytes(), &next.to_le_bytes()].concat()
    }

    #[test]
    fn csv_is_read_by_the_names_of_its_columns() {
        let wanted = vec![Request { id: 7, size: 100 }, Request { id: 8, size: 1 }];
        assert_eq!(csv("time,obj_id,size\n1,7,100\n2,8,0\n", ',').as_ref(), Ok(&wanted));
        assert_eq!(csv("# obj_size; Time ;obj_id\r\n100;1; 7\r\n\r\n1;2;8", ';').as_ref(), Ok(&wanted));
        let named = csv("id,size\nimages/a,5\nimages/b,5\nimages/a,5\n", ',').unwrap();
        assert!(named[0] == named[2] && named[0].id != named[1].id);
    }

    #[test]
    fn csv_that_lies_is_refused_with_its_line() {
        assert_eq!(csv("time,obj_id\n1,2\n", ','), Err(TraceError::NoColumn("obj_size")));
        assert_eq!(csv("time\tid\tsize\n1,2,3\n", ','), Err(TraceError::NoColumn("obj_id")));
        for bad in ["1,2", "1,2,", "1,2,-3", "1,2,4294967296", "1,2,3.5", "1,,3", "1"] {
            assert_eq!(
                csv(&format!("time,obj_id,size\n1,7,100\n{bad}\n"), ','),
                Err(TraceError::Line(3)),
                "{bad}"
            );
        }
        assert_eq!(csv("", ','), Err(TraceError::NoColumn("obj_id")));
    }

    #[test]
    fn oracle_general_is_read() {
        let bytes = [record(1, 1 << 40, 100), record(1, 3, 0), record(9, 1 << 40, u32::MAX)].concat();
        let wanted = [(1 << 40, 100), (3, 1), (1 << 40, u32::MAX)].map(|(id, size)| Request { id, size });
        assert_eq!(oracle_general(&bytes).as_deref(), Ok(&wanted[..]));
    }

    #[test]
    fn oracle_general_that_is_cut_off_or_something_else_is_refused() {
        let bytes = [record(5, 1, 1), record(4, 2, 1)].concat();
        assert_eq!(oracle_general(&bytes), Err(TraceError::Time(1, 4, 5)));
        for len in (1..48).filter(|len| *len != 24) {
            assert_eq!(oracle_general(&bytes[..len]), Err(TraceError::CutOff(len)));
        }
    }

    #[test]
    fn an_empty_file_is_no_trace() {
        let path = std::env::temp_dir().join(format!("nearside-trace-{}", std::process::id()));
        fs::write(&path, b"").unwrap();
        assert_eq!(read(&path, ','), Err(TraceError::Empty));
        fs::remove_file(&path).unwrap();
        assert!(matches!(read(&path, ','), Err(TraceError::Unreadable(_))));
    }
}
