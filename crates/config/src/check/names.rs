//! Names of services and queues: what refers to them finds them, and what nothing refers to is told.

use std::collections::HashMap;
use std::sync::Arc;

use crate::kind::{At, Reader};
use crate::near::nearest;
use crate::report::{LISTED, Span, quote};

/// The names of one kind of table.
pub(super) struct Names {
    /// As the table's key.
    kind: &'static str,
    /// What such a table must hold.
    holds: &'static str,
    /// Where each is, and whether something refers to it.
    known: HashMap<Arc<str>, (Span, bool)>,
}

impl Names {
    pub fn new(kind: &'static str, holds: &'static str) -> Self {
        Self { kind, holds, known: HashMap::new() }
    }

    pub fn add(&mut self, name: &At<crate::word::Name>) {
        self.known.insert(Arc::clone(&name.value.0), (name.at, false));
    }

    /// Notes that something refers to a name.
    pub fn use_it(&mut self, name: &str) {
        if let Some((_, used)) = self.known.get_mut(name) {
            *used = true;
        }
    }

    /// The same name, if it is known, and as one that something refers to.
    pub fn find(&mut self, name: At<Arc<str>>, reader: &mut Reader<'_>) -> Option<Arc<str>> {
        if let Some((_, used)) = self.known.get_mut(&name.value) {
            *used = true;
            return Some(name.value);
        }
        // Among very many mistakes the search for the nearest name would take long, and not be shown.
        let near = if reader.notes.mistakes() >= LISTED {
            None
        } else {
            nearest(&name, self.known.keys().map(|known| &**known))
        };
        let note = reader.mistake(name.at, format!("there is no {} {}", self.kind, quote(&name)));
        note.help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                format!("write a table [{}.{}] with its `{}`", self.kind, name.escape_debug(), self.holds)
            }
        });
        None
    }

    pub fn warn_of_unused(&self, by: &str, reader: &mut Reader<'_>) {
        for (name, (at, _)) in self.known.iter().filter(|(_, (_, used))| !used) {
            reader.notes.warning(*at, format!("{by} uses the {} `{name}`", self.kind));
        }
    }
}
