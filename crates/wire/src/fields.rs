//! A list of header fields: one block of bytes and where in it each name and value stands.
//!
//! Reading a head copies it once, as a block; passing it on copies runs of untouched lines whole.
//! Order and spelling stay as sent. Both vectors are reused from request to request.

use crate::name::Known;

/// Where one field stands in its block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) name_at: u32,
    pub(crate) value_at: u32,
    pub(crate) value_len: u32,
    pub(crate) name_len: u16,
    pub(crate) known: Known,
    /// The line in the block is just `name: value\r\n`, so it can be copied whole.
    pub(crate) plain: bool,
}

impl Place {
    fn name_range(&self) -> std::ops::Range<usize> {
        let at = self.name_at as usize;
        at..at + usize::from(self.name_len)
    }

    fn value_range(&self) -> std::ops::Range<usize> {
        let at = self.value_at as usize;
        at..at + self.value_len as usize
    }
}

/// One field, as seen in its list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Which name it is, if it is one that matters here.
    pub known: Known,
    /// As sent.
    pub name: &'a [u8],
    /// Without the white space around it.
    pub value: &'a [u8],
}

/// Header fields in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    pub(crate) block: Vec<u8>,
    pub(crate) places: Vec<Place>,
    /// The known names that may be there: most questions are about one that isn't.
    known: u64,
}

impl Fields {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Forgets all, keeping the memory for the next head.
    pub fn clear(&mut self) {
        self.block.clear();
        self.places.clear();
        self.known = 0;
    }

    /// Adds a field that stands in the block.
    pub(crate) fn place(&mut self, place: Place) {
        self.known |= place.known.bit();
        self.places.push(place);
    }

    /// To be called when places were added otherwise.
    pub(crate) fn note_known(&mut self) {
        self.known = self.places.iter().fold(0, |known, place| known | place.known.bit());
    }

    /// The places that may have this name.
    #[inline]
    fn of(&self, known: Known) -> &[Place] {
        if self.known & known.bit() == 0 { &[] } else { &self.places }
    }

    /// A part of the block that isn't a field; empty if the block was cleared since.
    pub(crate) fn text(&self, range: &std::ops::Range<usize>) -> &[u8] {
        self.block.get(range.clone()).unwrap_or_default()
    }

    fn see(&self, place: &Place) -> Field<'_> {
        Field {
            known: place.known,
            name: &self.block[place.name_range()],
            value: &self.block[place.value_range()],
        }
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.places.iter().map(|p| self.see(p))
    }

    /// The first value of a known name.
    #[inline]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        debug_assert!(known != Known::Other);
        self.of(known).iter().find(|p| p.known == known).map(|p| &self.block[p.value_range()])
    }

    /// All values of a known name in order.
    #[inline]
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        debug_assert!(known != Known::Other);
        self.of(known).iter().filter(move |p| p.known == known).map(|p| &self.block[p.value_range()])
    }

    /// The first value of any name, compared without case.
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        match Known::of(name) {
            Known::Other => self
                .places
                .iter()
                .find(|p| p.known == Known::Other && self.block[p.name_range()].eq_ignore_ascii_case(name))
                .map(|p| &self.block[p.value_range()]),
            known => self.get(known),
        }
    }

    /// Does a list-valued field (`Connection`, `TE` …) have this member, compared without case?
    pub fn has_member(&self, known: Known, member: &[u8]) -> bool {
        self.all(known).any(|v| crate::token::list(v).any(|m| m.eq_ignore_ascii_case(member)))
    }

    /// Adds a field at the end. Names and values come from checked configuration, from a checked
    /// head, or from this program, so they are not checked again.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        debug_assert!(crate::token::is_token(name) && crate::token::is_value(value));
        let name_at = self.block.len();
        self.block.extend_from_slice(name);
        self.block.extend_from_slice(b": ");
        let value_at = self.block.len();
        self.block.extend_from_slice(value);
        self.block.extend_from_slice(b"\r\n");
        let known = Known::of(name);
        self.known |= known.bit();
        self.places.push(Place {
            name_at: name_at as u32,
            value_at: value_at as u32,
            value_len: value.len() as u32,
            name_len: name.len() as u16,
            known,
            plain: true,
        });
    }

    /// Removes all fields of a known name; says whether there were any.
    pub fn remove(&mut self, known: Known) -> bool {
        debug_assert!(known != Known::Other);
        let before = self.places.len();
        self.places.retain(|p| p.known != known);
        before != self.places.len()
    }

    /// Removes all fields of any name, compared without case.
    pub fn remove_named(&mut self, name: &[u8]) {
        let Self { block, places, .. } = self;
        match Known::of(name) {
            Known::Other => {
                places
                    .retain(|p| p.known != Known::Other || !block[p.name_range()].eq_ignore_ascii_case(name));
            }
            known => places.retain(|p| p.known != known),
        }
    }

    /// Replaces all fields of a name by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        self.remove_named(name);
        self.push(name, value);
    }

    /// Writes `name: value` lines to `out`, without those that `skip` names; runs of lines that stand
    /// one after the other in the block go over in one copy.
    #[inline]
    pub fn write_to(&self, out: &mut Vec<u8>, mut skip: impl FnMut(Field<'_>) -> bool) {
        let mut run = 0..0;
        for place in &self.places {
            if skip(self.see(place)) {
                continue;
            }
            let start = place.name_at as usize;
            let end = place.value_at as usize + place.value_len as usize;
            if place.plain && run.end == start {
                run.end = end + 2;
                continue;
            }
            out.extend_from_slice(&self.block[run.clone()]);
            if place.plain {
                run = start..end + 2;
                continue;
            }
            run = 0..0;
            out.extend_from_slice(&self.block[place.name_range()]);
            out.extend_from_slice(b": ");
            out.extend_from_slice(&self.block[place.value_range()]);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(&self.block[run]);
    }
}
