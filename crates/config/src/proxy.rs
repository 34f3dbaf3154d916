//! The file that `nearside proxy` stands for, so that a node without a file is checked like any other.

use std::fmt::Write;

/// The text of a file with one listener, and one service and one route named `proxy`.
///
/// `to` are URLs of endpoints; one without a scheme gets `http://`. `balance` is a name as in the file,
/// or what a hash is taken of, such as `header:X-User`. Active checks are off, because any path may be
/// right; endpoints that fail requests are left out for a while. With `cache` the route keeps of answers
/// what RFC 9111 allows.
pub fn proxy_text(to: &[String], listen: &str, balance: Option<&str>, cache: bool) -> String {
    let urls: Vec<String> = to
        .iter()
        .map(|url| if url.contains("://") { quoted(url) } else { quoted(&format!("http://{url}")) })
        .collect();
    let mut text = format!("[[listen]]\naddress = {}\n\n[service.proxy]\n", quoted(listen));
    match balance {
        Some(hash) if hash.contains(':') || hash == "path" || hash == "client" => {
            let _ = writeln!(text, "balance = {{ hash = {} }}", quoted(hash));
        }
        Some(name) => {
            let _ = writeln!(text, "balance = {}", quoted(name));
        }
        None => {}
    }
    let _ = write!(text, "endpoints = [{}]\n\n[[route]]\nservice = \"proxy\"\n", urls.join(", "));
    if cache {
        text.push_str("cache = {}\n");
    }
    text
}

/// A string of TOML: JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}
