//! Which of a service's endpoints are used now?
//!
//! Nearer ones before farther ones, well ones before unknown ones. If none is left, all that can be
//! reached are used: when everything looks ill it is likelier that the looking is ill, and trying is
//! better than refusing.

use serde::Serialize;

/// How an endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Well, as far as is known.
    Up,
    /// Not yet checked.
    Unknown,
    /// Its checks fail.
    Ill,
    /// It failed the requests of clients.
    Ejected,
    /// Its name has no address yet.
    Unresolved,
    /// Taken out by an operator.
    Drained,
}

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Their places in the list, in its order.
    pub endpoints: Vec<usize>,
    /// No endpoint was well or unknown, so all were taken.
    pub all_ill: bool,
}

/// Chooses among endpoints, of each of which is said how it stands and whether it is near: in the
/// node's own region, or without one.
pub fn choose(endpoints: &[(Standing, bool)]) -> Choice {
    let those = |wanted: &dyn Fn(Standing, bool) -> bool| -> Vec<usize> {
        let all = endpoints.iter().enumerate();
        all.filter(|(_, (standing, near))| wanted(*standing, *near)).map(|(i, _)| i).collect()
    };
    for standing in [Standing::Up, Standing::Unknown] {
        for nearby in [true, false] {
            let endpoints = those(&|s, near| s == standing && near == nearby);
            if !endpoints.is_empty() {
                return Choice { endpoints, all_ill: false };
            }
        }
    }
    let endpoints = those(&|standing, _| matches!(standing, Standing::Ill | Standing::Ejected));
    Choice { all_ill: !endpoints.is_empty(), endpoints }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Drained, Ejected, Ill, Unknown, Unresolved, Up};

    #[track_caller]
    fn chosen(endpoints: &[(Standing, bool)], expected: &[usize], all_ill: bool) {
        assert_eq!(choose(endpoints), Choice { endpoints: expected.to_vec(), all_ill });
    }

    #[test]
    fn near_and_well_first() {
        chosen(&[(Up, false), (Up, true), (Unknown, true), (Up, true)], &[1, 3], false);
        chosen(&[(Up, false), (Unknown, true), (Ill, true)], &[0], false);
        chosen(&[(Unknown, false), (Unknown, true), (Ill, true)], &[1], false);
        chosen(&[(Unknown, false), (Ejected, true), (Ill, true)], &[0], false);
    }

    #[test]
    fn all_rather_than_none() {
        chosen(&[(Ill, false), (Ejected, true), (Drained, true), (Unresolved, true)], &[0, 1], true);
        chosen(&[(Drained, true), (Unresolved, true)], &[], false);
        chosen(&[], &[], false);
    }
}
