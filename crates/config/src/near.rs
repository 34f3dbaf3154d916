//! "Did you mean …?": the known word that is nearest to an unknown one.

/// Words longer than this are not compared: the cost grows with the product of both lengths.
const LONGEST: usize = 64;

/// The candidate that differs from `word` by the fewest edits, if they are few enough for a slip.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(LONGEST + 1).map(plain).collect();
    let allowed = (word.len() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= allowed && word.len() <= LONGEST)
        .map(|candidate| (edits(&word, candidate), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// `Least-Connections` and `least_connections` are the same word to a reader.
fn plain(c: char) -> char {
    if c == '-' { '_' } else { c.to_ascii_lowercase() }
}

/// Edits (one letter added, left out, changed, or two neighbours exchanged) between two words.
fn edits(word: &[char], candidate: &str) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=word.len()).collect();
    let mut last = None;
    for (i, theirs) in candidate.chars().map(plain).enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, ours) in word.iter().enumerate() {
            let changed = row[j] + usize::from(*ours != theirs);
            let mut best = changed.min(row[j + 1] + 1).min(next[j] + 1);
            if j > 0 && last == Some(*ours) && word[j - 1] == theirs {
                best = best.min(before[j - 1] + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(theirs);
    }
    row[word.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognized_and_another_word_is_not() {
        let known = ["round_robin", "random", "least_connections", "latency"];
        let found = |word| nearest(word, known);
        assert_eq!(found("round-robin"), Some("round_robin"));
        assert_eq!(found("LeastConnections"), Some("least_connections"));
        assert_eq!(found("radnom"), Some("random"));
        assert_eq!(found("latncy"), Some("latency"));
        assert_eq!(found("fastest"), None);
        assert_eq!(found(""), None);
        assert_eq!(found(&"random".repeat(1000)), None);
    }
}
