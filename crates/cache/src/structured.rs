//! Structured fields (RFC 9651), as far as a cache reads them: dictionaries, whose members are told one by
//! one. One wrong byte anywhere makes the whole field wrong (§4.2), so whoever listens keeps nothing of what
//! it was told if [`dictionary`] says none in the end.

/// A value without its parameters. What a cache never looks into is only checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// At most 15 digits.
    Integer(i64),
    /// Checked only.
    Decimal,
    /// What stands between the quotes, with its backslashes.
    String(&'a [u8]),
    /// As sent.
    Token(&'a [u8]),
    /// `?1` or `?0`; a member without a value is true.
    Boolean(bool),
    /// Base64 between colons, checked only.
    Bytes,
    /// `@` and an integer, checked only.
    Date,
    /// `%"…"`, checked only.
    Display,
    /// An inner list, checked only.
    List,
}

/// Reads a dictionary (§4.2.2) and tells its members in their order. A key may come more than once: then
/// its last value counts. None if it is no dictionary or has no member.
pub fn dictionary<'a>(input: &'a [u8], mut each: impl FnMut(&'a [u8], Value<'a>)) -> Option<()> {
    let mut rest = Reader { rest: input };
    rest.skip(b" ");
    loop {
        let key = rest.key()?;
        let value = if rest.take(b'=') { rest.item_or_list()? } else { Value::Boolean(true) };
        rest.parameters()?;
        each(key, value);
        rest.skip(b" \t");
        if rest.rest.is_empty() {
            return Some(());
        }
        rest.expect(b',')?;
        rest.skip(b" \t");
        // After a comma there must be a member: the next round finds no key if there is none.
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.rest.first() == Some(&byte);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn skip(&mut self, bytes: &[u8]) {
        self.run(|b| bytes.contains(&b));
    }

    /// The bytes up to the first that isn't like that.
    fn run(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&b| !is(b)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    /// §4.2.3.3
    fn key(&mut self) -> Option<&'a [u8]> {
        let is_first = |b: &u8| b.is_ascii_lowercase() || *b == b'*';
        self.rest.first().filter(|b| is_first(b))?;
        Some(self.run(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(&b)))
    }

    /// §4.2.3.2
    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.value()?;
            }
        }
        Some(())
    }

    fn item_or_list(&mut self) -> Option<Value<'a>> {
        if self.take(b'(') { self.list() } else { self.value() }
    }

    /// What follows `(` (§4.2.1.2).
    fn list(&mut self) -> Option<Value<'a>> {
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return Some(Value::List);
            }
            self.value()?;
            self.parameters()?;
            if !matches!(self.rest.first()?, b' ' | b')') {
                return None;
            }
        }
    }

    /// §4.2.3.1
    fn value(&mut self) -> Option<Value<'a>> {
        match self.rest.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => Some(Value::Token(self.run(is_token_byte))),
            b':' => self.bytes(),
            b'?' => self.boolean(),
            b'@' => self.date(),
            b'%' => self.display(),
            _ => None,
        }
    }

    /// §4.2.4: at most 15 digits, or 12 before the point and 1 to 3 after it.
    fn number(&mut self) -> Option<Value<'a>> {
        let negative = self.take(b'-');
        let whole = self.run(|b| b.is_ascii_digit());
        if self.take(b'.') {
            let fraction = self.run(|b| b.is_ascii_digit());
            let fits = (1..=12).contains(&whole.len()) && (1..=3).contains(&fraction.len());
            return fits.then_some(Value::Decimal);
        }
        if !(1..=15).contains(&whole.len()) {
            return None;
        }
        let number = whole.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0'));
        Some(Value::Integer(if negative { -number } else { number }))
    }

    /// §4.2.5
    fn string(&mut self) -> Option<Value<'a>> {
        self.expect(b'"')?;
        let all = self.rest;
        loop {
            match self.next()? {
                b'"' => return all.get(..all.len() - self.rest.len() - 1).map(Value::String),
                b'\\' if matches!(self.next()?, b'"' | b'\\') => {}
                b'\\' => return None,
                b' '..=b'~' => {}
                _ => return None,
            }
        }
    }

    /// §4.2.7: base64, whose padding needn't be there.
    fn bytes(&mut self) -> Option<Value<'a>> {
        self.expect(b':')?;
        let text = self.run(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
        self.expect(b':')?;
        let data = text.iter().position(|&b| b == b'=').unwrap_or(text.len());
        let padding = text.len() - data;
        let is_padded = padding == 0 || (text.len().is_multiple_of(4) && padding <= 2);
        let is_padding = text.get(data..)?.iter().all(|&b| b == b'=');
        (is_padded && is_padding && data % 4 != 1).then_some(Value::Bytes)
    }

    /// §4.2.8
    fn boolean(&mut self) -> Option<Value<'a>> {
        self.expect(b'?')?;
        match self.next()? {
            b'1' => Some(Value::Boolean(true)),
            b'0' => Some(Value::Boolean(false)),
            _ => None,
        }
    }

    /// §4.2.9
    fn date(&mut self) -> Option<Value<'a>> {
        self.expect(b'@')?;
        matches!(self.number()?, Value::Integer(_)).then_some(Value::Date)
    }

    /// §4.2.10: UTF-8, whose bytes that aren't plain are escaped with lower-case digits.
    fn display(&mut self) -> Option<Value<'a>> {
        self.expect(b'%')?;
        self.expect(b'"')?;
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return std::str::from_utf8(&text).is_ok().then_some(Value::Display),
                b'%' => text.push(digit(self.next()?)? << 4 | digit(self.next()?)?),
                plain @ b' '..=b'~' => text.push(plain),
                _ => return None,
            }
        }
    }
}

/// After the first (§3.3.4).
fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b)
}

/// Of a hexadecimal number in lower case.
fn digit(b: u8) -> Option<u8> {
    match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    }
}
