//! A second reader, slow and simple, to compare with: it cuts at each CR LF and at the first colon.
//!
//! It refuses nothing that these cuts don't trip over, so where `wire` takes a message, both must see
//! the same in it: that is what "not ambiguous" means.

/// Name and value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// The first line and the fields of a whole head, one empty line before it left out. None if a CR or
/// an LF stands anywhere but in a CR LF, or a line has no colon.
pub fn head(bytes: &[u8]) -> Option<(Vec<u8>, Vec<Pair>)> {
    let bytes = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let mut lines = lines(bytes.strip_suffix(b"\r\n\r\n")?)?.into_iter();
    let first = lines.next()?.to_vec();
    let fields = lines.map(field).collect::<Option<_>>()?;
    Some((first, fields))
}

/// The data and trailers of the chunked body at the front of `bytes`, and its length. None if it isn't
/// whole and good.
pub fn chunked(bytes: &[u8]) -> Option<(Vec<u8>, Vec<Pair>, usize)> {
    let (mut data, mut rest) = (Vec::new(), bytes);
    loop {
        let (line, behind) = cut(rest)?;
        let digits = line.split(|&b| b == b';').next()?;
        let digits = std::str::from_utf8(digits).ok().filter(|d| d.len() <= 16 && !d.starts_with('+'))?;
        let size = usize::try_from(u64::from_str_radix(digits, 16).ok()?).ok()?;
        if size == 0 {
            rest = behind;
            break;
        }
        data.extend_from_slice(behind.get(..size)?);
        rest = behind.get(size..)?.strip_prefix(b"\r\n")?;
    }
    let mut trailers = Vec::new();
    loop {
        let (line, behind) = cut(rest)?;
        rest = behind;
        if line.is_empty() {
            return Some((data, trailers, bytes.len() - rest.len()));
        }
        trailers.push(field(line)?);
    }
}

fn cut(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.windows(2).position(|w| w == b"\r\n")?;
    Some((&bytes[..at], &bytes[at + 2..]))
        .filter(|(line, _)| !line.contains(&b'\n') && !line.contains(&b'\r'))
}

fn lines(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut all = Vec::new();
    while let Some((line, rest)) = cut(bytes) {
        all.push(line);
        bytes = rest;
    }
    all.push(bytes);
    (!bytes.contains(&b'\r') && !bytes.contains(&b'\n')).then_some(all)
}

fn field(line: &[u8]) -> Option<Pair> {
    let colon = line.iter().position(|&b| b == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let blank = |b: &u8| *b == b' ' || *b == b'\t';
    let start = value.iter().position(|b| !blank(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !blank(b)).map_or(start, |at| at + 1);
    (!name.is_empty() && !name.iter().any(blank)).then(|| (name.to_vec(), value[start..end].to_vec()))
}
