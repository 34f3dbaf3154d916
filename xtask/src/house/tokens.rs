//! Rust source as a flat row of tokens with their lines.
//!
//! Tokens and not a syntax tree: functions and `unsafe` inside macro calls count too, and a lexer
//! builds in a second where a parser needs ten.

use proc_macro2::{Delimiter, LexError, TokenStream, TokenTree};

/// One word, sign, literal or bracket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As written; a bracket is one of `(`, `)`, `[`, `]`, `{`, `}`.
    pub text: String,
    /// From 1.
    pub line: usize,
    /// How many brackets it lies in; an opening and its closing bracket have the same depth.
    pub depth: usize,
}

/// Takes source apart; comments vanish, doc comments become `doc` attributes.
pub fn tokens(source: &str) -> Result<Vec<Token>, LexError> {
    let mut row = Vec::new();
    flatten(source.parse()?, 0, &mut row);
    Ok(row)
}

fn flatten(stream: TokenStream, depth: usize, row: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let TokenTree::Group(group) = tree else {
            row.push(Token { text: tree.to_string(), line, depth });
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::None => ("", ""),
        };
        row.push(Token { text: open.into(), line: group.span_open().start().line, depth });
        flatten(group.stream(), depth + 1, row);
        row.push(Token { text: close.into(), line: group.span_close().end().line, depth });
    }
}

/// Where the item that goes on at `from` ends: past its block or its semicolon.
pub fn end_of_item(row: &[Token], from: usize) -> usize {
    let Some(depth) = row.get(from).map(|token| token.depth) else {
        return row.len();
    };
    let ends = |token: &Token| token.depth == depth && matches!(token.text.as_str(), ";" | "}");
    row[from..].iter().position(ends).map_or(row.len(), |steps| from + steps + 1)
}

/// Whether the tokens at `from` read as `words`.
pub fn reads(row: &[Token], from: usize, words: &[&str]) -> bool {
    let there = row.get(from..from + words.len());
    there.is_some_and(|there| there.iter().zip(words).all(|(token, word)| token.text == *word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_know_their_lines_and_depth() {
        let row = tokens("fn a() {\n  b(1);\n}\n").unwrap();
        let last = row.last().unwrap();
        assert_eq!((last.text.as_str(), last.line, last.depth), ("}", 3, 0));
        assert!(reads(&row, 0, &["fn", "a", "(", ")", "{"]));
        assert!(!reads(&row, row.len() - 1, &["}", "fn"]));
    }

    #[test]
    fn an_item_ends_with_its_block_or_semicolon() {
        let row = tokens("mod a { x; } use b; c").unwrap();
        assert_eq!(end_of_item(&row, 0), 6);
        assert_eq!(end_of_item(&row, 6), 9);
        assert_eq!(end_of_item(&row, 9), row.len());
    }
}
