//! HTTP/1.1 messages as a test reads them: on its own, so that it can't share a mistake with the node.

use std::io::{self, BufRead, Read};

/// A request or an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// Fields in their order, names as sent.
    pub fields: Vec<(String, String)>,
    /// Without its chunks.
    pub body: Vec<u8>,
    /// Fields after the last chunk.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// Reads the first line and the fields; none at the end of the stream.
    pub fn read_head(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let start = line(from)?;
        if start.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { start, fields: fields(from)?, ..Self::default() }))
    }

    /// Reads the body. Without a length, a request has none and an answer goes on to the end.
    pub fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        if self.has("transfer-encoding", "chunked") {
            return self.read_chunks(from);
        }
        let is_answer = self.start.starts_with("HTTP/");
        let none = is_answer && (self.status() < 200 || matches!(self.status(), 204 | 304));
        match self.field("content-length").map(str::parse) {
            _ if none => {}
            Some(length) => {
                let length: usize = length.map_err(io::Error::other)?;
                self.body.resize(length, 0);
                from.read_exact(&mut self.body)?;
            }
            None if is_answer => {
                from.read_to_end(&mut self.body)?;
            }
            None => {}
        }
        Ok(())
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        loop {
            let size = line(from)?;
            let size = size.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
            if size == 0 {
                self.trailers = fields(from)?;
                return Ok(());
            }
            let read = from.take(size).read_to_end(&mut self.body)?;
            if read as u64 != size || !line(from)?.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// The target of a request.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all fields of that name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }

    /// Has it a field with that value?
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|other| other.eq_ignore_ascii_case(value))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }
}

/// A line without its end; empty at the end of the stream.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.read_until(b'\n', &mut bytes)?;
    match bytes.strip_suffix(b"\r\n") {
        Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
        None if bytes.is_empty() => Ok(String::new()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn fields(from: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(from)?;
        let Some((name, value)) = line.split_once(':') else {
            return Ok(fields);
        };
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
}
