//! `${NAME}` and `${NAME:-default}` in strings; `$$` stands for one `$`.

use std::borrow::Cow;

use crate::kind::Wrong;
use crate::report::quote;

/// Puts the environment's values into `text`. As in a shell, `:-` also stands in for an empty value.
pub(crate) fn expand<'t>(text: &'t str, env: &dyn Fn(&str) -> Option<String>) -> Result<Cow<'t, str>, Wrong> {
    if !text.contains('$') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = after.strip_prefix('{') {
            let (inside, after) = inside.split_once('}').ok_or_else(|| {
                Wrong::new("`${` has no `}`")
                    .help("write ${NAME} or ${NAME:-default}; for a plain `$` write `$$`")
            })?;
            out.push_str(&variable(inside, env)?);
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

fn variable(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, Wrong> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let letters = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if name.is_empty() || !letters || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Wrong::new(format!("{} is not the name of an environment variable", quote(name)))
            .help("names are of letters, digits and `_`; for a plain `$` write `$$`"));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Wrong::new(format!("the environment variable `{name}` is not set"))
            .help(format!("set it, or write ${{{name}:-default}}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables_are_replaced() {
        let env = |name: &str| match name {
            "HOST" => Some("shop".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let text = |text| expand(text, &env).map(std::borrow::Cow::into_owned).map_err(|wrong| wrong.message);
        assert_eq!(text("http://${HOST}:${PORT:-80}/"), Ok("http://shop:80/".to_owned()));
        assert_eq!(text("[${EMPTY}][${EMPTY:-x}]"), Ok("[][x]".to_owned()));
        assert_eq!(text("$${HOST} $5 $"), Ok("${HOST} $5 $".to_owned()));
        assert_eq!(text("${PORT}"), Err("the environment variable `PORT` is not set".to_owned()));
        assert_eq!(text("${HOST"), Err("`${` has no `}`".to_owned()));
        assert_eq!(text("${1}"), Err("`1` is not the name of an environment variable".to_owned()));
    }
}
