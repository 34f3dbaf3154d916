//! Requests that must be refused: malformed, ambiguous, or over a limit, each with its status.
//!
//! Each is all that a client sends, and the connection closes after the answer. Not one of them may
//! reach an endpoint as a whole request. The sizes go over the default limits of a node.

/// One request that must be refused.
pub struct Case {
    /// What is wrong with it.
    pub name: String,
    /// All that the client sends.
    pub bytes: Vec<u8>,
    /// What it gets.
    pub status: u16,
}

/// All of them; no two have the same name.
pub fn corpus() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |group: &str, name: &str, status, parts: &[&[u8]]| {
        all.push(Case { name: format!("{group}: {name}"), bytes: parts.concat(), status });
    };
    for &(name, status, line) in FIRST_LINES {
        add("first line", name, status, &[line, b"\r\nHost: a.example\r\n\r\n"]);
    }
    for &(name, status, target) in TARGETS {
        add("target", name, status, &[b"GET ", target, b" HTTP/1.1\r\nHost: a.example\r\n\r\n"]);
    }
    for &(name, status, lines) in HOSTS {
        add("host", name, status, &[b"GET / HTTP/1.1\r\n", lines, b"\r\n"]);
    }
    for &(name, status, lines) in FIELDS {
        add("field", name, status, &[b"GET / HTTP/1.1\r\nHost: a.example\r\n", lines, b"\r\n"]);
    }
    for &(name, status, lines) in FRAMINGS {
        let body = b"\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n";
        add("framing", name, status, &[b"POST / HTTP/1.1\r\nHost: a.example\r\n", lines, body]);
    }
    for &(name, body) in CHUNKS {
        let head = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";
        add("chunks", name, 400, &[head, body]);
    }
    for &(name, status, whole) in WHOLE {
        add("whole", name, status, &[whole]);
    }
    all.extend(oversize());
    all
}

type Rows = &'static [(&'static str, u16, &'static [u8])];

const FIRST_LINES: Rows = &[
    ("no version", 400, b"GET /"),
    ("no target", 400, b"GET HTTP/1.1"),
    ("only a method", 400, b"GET"),
    ("no method", 400, b" / HTTP/1.1"),
    ("version in lower case", 400, b"GET / http/1.1"),
    ("version of two digits", 400, b"GET / HTTP/1.10"),
    ("version with a leading zero", 400, b"GET / HTTP/01.1"),
    ("version without minor", 400, b"GET / HTTP/1"),
    ("version with three parts", 400, b"GET / HTTP/1.1.1"),
    ("version with a sign", 400, b"GET / HTTP/1.-1"),
    ("other protocol", 400, b"GET / ICY/1.1"),
    ("version 0.9", 505, b"GET / HTTP/0.9"),
    ("version 2.0", 505, b"GET / HTTP/2.0"),
    ("version 3.1", 505, b"GET / HTTP/3.1"),
    ("space before the method", 400, b" GET / HTTP/1.1"),
    ("two spaces after the method", 400, b"GET  / HTTP/1.1"),
    ("two spaces before the version", 400, b"GET /  HTTP/1.1"),
    ("space after the version", 400, b"GET / HTTP/1.1 "),
    ("words after the version", 400, b"GET / HTTP/1.1 HTTP/1.0"),
    ("tabs for spaces", 400, b"GET\t/\tHTTP/1.1"),
    ("vertical tab for a space", 400, b"GET\x0b/ HTTP/1.1"),
    ("bare CR for a space", 400, b"GET\r/ HTTP/1.1"),
    ("bare CR at the end", 400, b"GET / HTTP/1.1\r"),
    ("bare LF within", 400, b"GET / HTTP/1.1\nX: y"),
    ("NUL after the version", 400, b"GET / HTTP/1.1\0"),
    ("method with an odd byte", 400, b"G@T / HTTP/1.1"),
    ("method with a colon", 400, b"GET: / HTTP/1.1"),
    ("method in quotes", 400, b"\"GET\" / HTTP/1.1"),
    ("method not in ASCII", 400, b"G\xcbT / HTTP/1.1"),
    ("CONNECT", 501, b"CONNECT a.example:443 HTTP/1.1"),
];

const TARGETS: Rows = &[
    ("relative", 400, b"a/b"),
    ("authority form", 400, b"a.example:80"),
    ("asterisk, but not OPTIONS", 400, b"*"),
    ("only a query", 400, b"?a=b"),
    ("with a fragment", 400, b"/a#b"),
    ("with a space", 400, b"/a b"),
    ("with a tab", 400, b"/a\tb"),
    ("with NUL", 400, b"/a\0b"),
    ("with DEL", 400, b"/a\x7fb"),
    ("with bare CR", 400, b"/a\rb"),
    ("with a byte not in ASCII", 400, b"/\xc3\xa4"),
    ("other scheme", 400, b"ftp://a.example/"),
    ("scheme with one slash", 400, b"http:/a.example/"),
    ("scheme without host", 400, b"http:///a"),
    ("no host, only a port", 400, b"http://:80/"),
    ("user information", 400, b"http://u@a.example/"),
    ("user information with a password", 400, b"http://u:p@a.example/"),
    ("host behind a false one", 400, b"http://a.example:80@b.example/"),
    ("port that is no number", 400, b"http://a.example:http/"),
    ("port over 65535", 400, b"http://a.example:65536/"),
    ("port with a sign", 400, b"http://a.example:+80/"),
    ("two ports", 400, b"http://a.example:80:81/"),
    ("query without path", 400, b"http://a.example?a"),
    ("backslash in the host", 400, b"http://a.example\\@b.example/"),
    ("encoded host", 400, b"http://%61.example/"),
    ("open bracket", 400, b"http://[::1/"),
    ("bracket with a name", 400, b"http://[localhost]/"),
    ("words after a bracket", 400, b"http://[::1]a/"),
    ("dot segment", 400, b"/a/../b"),
    ("dot segment at the end", 400, b"/a/.."),
    ("single dot segment", 400, b"/./a"),
    ("encoded dot segment", 400, b"/a/%2e%2E/b"),
    ("dot segment behind an encoded slash", 400, b"/a%2f../b"),
    ("dot segment before an encoded slash", 400, b"/a/..%2fb"),
    ("dot segment between backslashes", 400, b"/a\\..\\b"),
    ("dot segment with a parameter", 400, b"/a/..;/b"),
    ("dot segment of an absolute target", 400, b"http://a.example/a/../b"),
];

/// Where `Host` is wrong or misses.
const HOSTS: Rows = &[
    ("none", 400, b""),
    ("empty", 400, b"Host:\r\n"),
    ("twice the same", 400, b"Host: a.example\r\nHost: a.example\r\n"),
    ("two different", 400, b"Host: a.example\r\nHost: b.example\r\n"),
    ("twice in other case", 400, b"host: a.example\r\nX: y\r\nHOST: b.example\r\n"),
    ("one of two empty", 400, b"Host: a.example\r\nHost:\r\n"),
    ("list", 400, b"Host: a.example, b.example\r\n"),
    ("two words", 400, b"Host: a.example b.example\r\n"),
    ("user information", 400, b"Host: u@a.example\r\n"),
    ("path", 400, b"Host: a.example/b\r\n"),
    ("scheme", 400, b"Host: http://a.example\r\n"),
    ("port that is no number", 400, b"Host: a.example:b\r\n"),
    ("port over 65535", 400, b"Host: a.example:99999\r\n"),
    ("only a port", 400, b"Host: :80\r\n"),
    ("open bracket", 400, b"Host: [::1\r\n"),
    ("NUL", 400, b"Host: a.example\0b.example\r\n"),
    ("not in ASCII", 400, b"Host: \xc3\xa4.example\r\n"),
    ("space before the colon", 400, b"Host : a.example\r\n"),
    ("behind white space", 400, b" Host: a.example\r\n"),
    ("folded", 400, b"Host:\r\n a.example\r\n"),
];

const FIELDS: Rows = &[
    ("folded by a space", 400, b"X: a\r\n b\r\n"),
    ("folded by a tab", 400, b"X: a\r\n\tb\r\n"),
    ("folded and empty", 400, b"X: a\r\n \r\n"),
    ("space before the colon", 400, b"X : a\r\n"),
    ("tab before the colon", 400, b"X\t: a\r\n"),
    ("space in the name", 400, b"X Y: a\r\n"),
    ("no colon", 400, b"X\r\n"),
    ("no name", 400, b": a\r\n"),
    ("NUL in the name", 400, b"X\0: a\r\n"),
    ("CR in the name", 400, b"X\rY: a\r\n"),
    ("parenthesis in the name", 400, b"X(Y): a\r\n"),
    ("quotes around the name", 400, b"\"X\": a\r\n"),
    ("byte not in ASCII in the name", 400, b"X\xff: a\r\n"),
    ("BOM before the name", 400, b"\xef\xbb\xbfX: a\r\n"),
    ("bare LF for the end", 400, b"X: a\nY: b\r\n"),
    ("bare CR for the end", 400, b"X: a\rY: b\r\n"),
    ("CR CR LF for the end", 400, b"X: a\r\r\n"),
    ("LF CR for the end", 400, b"X: a\n\rY: b\r\n"),
    ("bare CR before the value", 400, b"X:\ra\r\n"),
    ("NUL in the value", 400, b"X: a\0b\r\n"),
    ("DEL in the value", 400, b"X: a\x7fb\r\n"),
    ("escape in the value", 400, b"X: \x1b[0m\r\n"),
    ("form feed around the value", 400, b"X: \x0ca\r\n"),
    ("bare LF ends the head", 400, b"X: a\r\n\nGET /smuggled HTTP/1.1\r\nHost: a.example\r\n"),
    ("expects anything", 417, b"Expect: anything\r\n"),
    ("expects two things", 417, b"Expect: 100-continue, anything\r\n"),
    ("expects a second thing in a second line", 417, b"Expect: 100-continue\r\nExpect: anything\r\n"),
    ("expects nothing", 417, b"Expect:\r\n"),
];

/// Where the body's length is wrong or read in two ways.
const FRAMINGS: Rows = &[
    ("both lengths", 400, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    ("both lengths, the other way round", 400, b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    ("both lengths, one of them 0", 400, b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
    ("both lengths, the coding unknown", 400, b"Content-Length: 5\r\nTransfer-Encoding: x\r\n"),
    ("both lengths, the coding empty", 400, b"Content-Length: 5\r\nTransfer-Encoding:\r\n"),
    ("length twice the same", 400, b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    ("two lengths", 400, b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    ("two lengths, one of them empty", 400, b"Content-Length: 5\r\nContent-Length:\r\n"),
    ("two lengths, one of them in other case", 400, b"Content-Length: 5\r\ncONTENT-lENGTH: 6\r\n"),
    ("lengths as a list", 400, b"Content-Length: 5, 5\r\n"),
    ("lengths as a list with an empty one", 400, b"Content-Length: 5,\r\n"),
    ("length with a plus", 400, b"Content-Length: +5\r\n"),
    ("length below zero", 400, b"Content-Length: -1\r\n"),
    ("length minus zero", 400, b"Content-Length: -0\r\n"),
    ("length in hexadecimal", 400, b"Content-Length: 0x5\r\n"),
    ("length with an exponent", 400, b"Content-Length: 1e1\r\n"),
    ("length with a point", 400, b"Content-Length: 5.0\r\n"),
    ("length with an underscore", 400, b"Content-Length: 1_0\r\n"),
    ("length with a space within", 400, b"Content-Length: 1 0\r\n"),
    ("length in quotes", 400, b"Content-Length: \"5\"\r\n"),
    ("length with a unit", 400, b"Content-Length: 5 bytes\r\n"),
    ("length empty", 400, b"Content-Length:\r\n"),
    ("length of 20 digits", 400, b"Content-Length: 18446744073709551616\r\n"),
    ("length of 21 digits", 400, b"Content-Length: 000000000000000000005\r\n"),
    ("length behind a vertical tab", 400, b"Content-Length: \x0b5\r\n"),
    ("length in other digits", 400, b"Content-Length: \xd9\xa5\r\n"),
    ("length, space before the colon", 400, b"Content-Length : 5\r\n"),
    ("coding, space before the colon", 400, b"Transfer-Encoding : chunked\r\n"),
    ("coding behind a bare LF", 400, b"X: y\nTransfer-Encoding: chunked\r\n"),
    ("coding behind a bare CR", 400, b"X: y\rTransfer-Encoding: chunked\r\n"),
    ("coding folded", 400, b"Transfer-Encoding:\r\n chunked\r\n"),
    ("coding twice in a list", 400, b"Transfer-Encoding: chunked, chunked\r\n"),
    ("coding in two lines", 400, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    ("codings in two lines", 400, b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
    ("coding and a false one", 400, b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"),
    ("coding with an empty member before", 400, b"Transfer-Encoding: , chunked\r\n"),
    ("coding with an empty member behind", 400, b"Transfer-Encoding: chunked,\r\n"),
    ("coding behind a vertical tab", 400, b"Transfer-Encoding: \x0bchunked\r\n"),
    ("coding before a NUL", 400, b"Transfer-Encoding: chunked\0\r\n"),
    ("coding in quotes", 400, b"Transfer-Encoding: \"chunked\"\r\n"),
    ("coding with a parameter", 400, b"Transfer-Encoding: chunked;a=b\r\n"),
    ("coding with a prefix", 400, b"Transfer-Encoding: xchunked\r\n"),
    ("coding as `chunked` and a word", 400, b"Transfer-Encoding: chunked x\r\n"),
    ("coding not in ASCII", 400, b"Transfer-Encoding: \xe1\x9a\x80chunked\r\n"),
    ("coding empty", 400, b"Transfer-Encoding:\r\n"),
    ("coding identity", 400, b"Transfer-Encoding: identity\r\n"),
    ("coding not last", 400, b"Transfer-Encoding: chunked, identity\r\n"),
    ("coding that doesn't end", 400, b"Transfer-Encoding: gzip\r\n"),
    ("coding not known here", 501, b"Transfer-Encoding: gzip, chunked\r\n"),
];

/// Bodies of requests that say `Transfer-Encoding: chunked`.
const CHUNKS: &[(&str, &[u8])] = &[
    ("size empty", b"\r\n\r\n"),
    ("size with a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("size with a minus", b"-1\r\nhello\r\n0\r\n\r\n"),
    ("size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    ("size behind a space", b" 5\r\nhello\r\n0\r\n\r\n"),
    ("size before a space", b"5 \r\nhello\r\n0\r\n\r\n"),
    ("size before a tab", b"5\t\r\nhello\r\n0\r\n\r\n"),
    ("size with a space within", b"0 5\r\nhello\r\n0\r\n\r\n"),
    ("size that is no number", b"g\r\nhello\r\n0\r\n\r\n"),
    ("size with NUL", b"5\0\r\nhello\r\n0\r\n\r\n"),
    ("size with a comma", b"5,5\r\nhello\r\n0\r\n\r\n"),
    ("size over 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("size of 17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("size line ends in LF", b"5\nhello\r\n0\r\n\r\n"),
    ("size line ends in CR", b"5\rhello\r\n0\r\n\r\n"),
    ("size line ends in CR CR LF", b"5\r\r\nhello\r\n0\r\n\r\n"),
    ("extension ends in LF", b"5;a\nhello\r\n0\r\n\r\n"),
    ("extension with a bare CR", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("extension with CR in quotes", b"5;a=\"b\r\"\r\nhello\r\n0\r\n\r\n"),
    ("extension with NUL", b"5;a\0\r\nhello\r\n0\r\n\r\n"),
    ("space before an extension", b"5 ;a\r\nhello\r\n0\r\n\r\n"),
    ("data longer than its size", b"4\r\nhello\r\n0\r\n\r\n"),
    ("data without end", b"5\r\nhello0\r\n\r\n"),
    ("data shorter than its size", b"6\r\nhello\r\n0\r\n\r\n"),
    ("data ends in LF", b"5\r\nhello\n0\r\n\r\n"),
    ("data ends in CR", b"5\r\nhello\r0\r\n\r\n"),
    ("data ends in two other bytes", b"5\r\nhelloxx0\r\n\r\n"),
    ("last chunk ends in LF", b"0\n\r\n"),
    ("trailers end in LF", b"0\r\n\n"),
    ("trailers end in CR", b"0\r\n\rX: a\r\n\r\n"),
    ("trailer ends in LF", b"0\r\nX: a\n\r\n"),
    ("trailer with a bare CR", b"0\r\nX: a\rb\r\n\r\n"),
    ("trailer folded", b"0\r\nX: a\r\n b\r\n\r\n"),
    ("trailer with NUL", b"0\r\nX: \0\r\n\r\n"),
    ("trailer without colon", b"0\r\nX\r\n\r\n"),
    ("trailer without name", b"0\r\n: a\r\n\r\n"),
    ("trailer with a space before the colon", b"0\r\nX : a\r\n\r\n"),
    ("another request for a trailer", b"0\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
];

const WHOLE: Rows = &[
    ("preface of HTTP/2", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("bare LF for all ends", 400, b"GET / HTTP/1.1\nHost: a.example\n\n"),
    ("bare LF before", 400, b"\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ("two empty lines before", 400, b"\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ("absolute target without Host", 400, b"GET http://a.example/ HTTP/1.1\r\n\r\n"),
    ("absolute target with a bad Host", 400, b"GET http://a.example/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
    ("absolute target of HTTP/1.0 without host", 400, b"GET http:///a HTTP/1.0\r\n\r\n"),
    ("HTTP/1.0 with two hosts", 400, b"GET / HTTP/1.0\r\nHost: a.example\r\nHost: b.example\r\n\r\n"),
    (
        "HTTP/1.0 with chunks",
        400,
        b"POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "HTTP/1.0 with chunks and kept alive",
        400,
        b"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("asterisk with a query", 400, b"OPTIONS *?a HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ("second request of a connection", 400, b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost : a\r\n\r\n"),
];

/// Over the default limits: 32 KiB, 128 fields.
fn oversize() -> Vec<Case> {
    let much = "a".repeat(40 * 1024);
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
    let case = |name: &str, status, text: String| Case {
        name: format!("oversize: {name}"),
        bytes: text.into_bytes(),
        status,
    };
    vec![
        case("target", 414, format!("GET /{much} HTTP/1.1\r\nHost: a.example\r\n\r\n")),
        case("method", 414, format!("{much} / HTTP/1.1\r\nHost: a.example\r\n\r\n")),
        case("first line without end", 414, much.clone()),
        case("field value", 431, with(&format!("X: {much}\r\n"))),
        case("field name", 431, with(&format!("{much}: a\r\n"))),
        case("field line without end", 431, format!("GET / HTTP/1.1\r\nX{much}")),
        case("many fields", 431, with(&"X: a\r\n".repeat(128))),
        case("many large fields", 431, with(&format!("X: {}\r\n", &much[..1000]).repeat(40))),
    ]
}
