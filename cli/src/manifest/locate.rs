//! On which line a field is.
//!
//! The parser knows where it is when somebody who is handed a value does not want it, and says so in its error. So the field
//! is looked for by reading up to it and refusing it there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// By which the refusal is known from what else may go wrong.
const HERE: &str = "\u{1}here\u{1}";

/// The line, from 1, of the field at `path` in a document of `text`; where it is not written, of the nearest above it.
pub(super) fn line(text: &str, document: usize, path: &[&str]) -> Option<usize> {
    (0..=path.len()).rev().find_map(|depth| {
        let document = yaml_serde::Deserializer::from_str(text).nth(document)?;
        let error = Seek(&path[..depth]).deserialize(document).err()?;
        let found = error.to_string().contains(HERE);
        error.location().filter(|_| found).map(|location| location.line())
    })
}

/// Refuses what is at the path below it.
struct Seek<'a>(&'a [&'a str]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, below)) = self.0.split_first() else { return Err(A::Error::custom(HERE)) };
        while let Some(is_it) = map.next_key_seed(Key { name: first, refuse: below.is_empty() })? {
            if is_it {
                map.next_value_seed(Seek(below))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((first, below)) = self.0.split_first() else { return Err(A::Error::custom(HERE)) };
        let wanted = first.parse::<usize>().ok();
        for index in 0.. {
            let more = if wanted == Some(index) {
                items.next_element_seed(Seek(below))?.is_some()
            } else {
                items.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }
}

impl Seek<'_> {
    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.0.is_empty() { Err(E::custom(HERE)) } else { Ok(()) }
    }
}

/// A name in a map: whether it is the one that is looked for, which may be refused at once.
struct Key<'a> {
    name: &'a str,
    refuse: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<bool, E> {
        match name == self.name {
            true if self.refuse => Err(E::custom(HERE)),
            is_it => Ok(is_it),
        }
    }
}

#[cfg(test)]
mod tests {
    use fundbond_crds::check::parts;

    use super::*;

    const TEXT: &str =
        "a: 1\nb:\n  c: x\n  d:\n  - e: 1\n    f: 2\n  - g\n---\nh:\n  i: {j: 1,\n      k: 2}\n";

    fn find(document: usize, field: &str) -> Option<usize> {
        line(TEXT, document, &parts(field).collect::<Vec<_>>())
    }

    #[test]
    fn every_field_has_its_line() {
        for (document, field, expected) in [
            (0, "a", 1),
            (0, "b", 2),
            (0, "b.c", 3),
            (0, "b.d", 4),
            (0, "b.d[0].f", 6),
            (0, "b.d[1]", 7),
            (1, "h", 9),
            (1, "h.i.k", 11),
        ] {
            assert_eq!(find(document, field), Some(expected), "{document} {field}");
        }
    }

    #[test]
    fn what_is_not_there_has_the_line_of_what_is_above_it() {
        assert_eq!(find(0, "b.d[0].nothing"), Some(5));
        assert_eq!(find(0, "b.c.nothing"), Some(3));
        assert_eq!(find(0, "nothing.at.all"), Some(1));
        assert_eq!(find(1, ""), Some(9));
        assert_eq!(find(7, "a"), None);
    }
}
