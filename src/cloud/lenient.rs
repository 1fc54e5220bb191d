//! Reading answers that do not keep to their own documents: numbers as strings, strings as numbers,
//! nulls, missing fields, endless lists (field notes 6).
//!
//! What is wrong is read as absent, so that one odd field does not spoil the rest of an answer; whoever
//! needs the field says so. Lists are bounded while they are read: a hostile answer costs its own size
//! in memory, not a multiple of it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A part of an answer: every field may be missing, and is read as it says. One that is `secret` has no `Debug`.
macro_rules! wire {
    ($(#[$doc:meta])* secret $name:ident { $($fields:tt)* }) => {
        wire! { $(#[$doc])* #[derive(Deserialize, Default)] => $name { $($fields)* } }
    };
    ($(#[$doc:meta])* $name:ident { $($fields:tt)* }) => {
        wire! { $(#[$doc])* #[derive(Deserialize, Debug, Default)] => $name { $($fields)* } }
    };
    ($(#[$head:meta])* => $name:ident {
        $($(#[$field_doc:meta])* $field:ident $(as $wired:literal)?: $type:ty = $how:literal,)*
    }) => {
        $(#[$head])*
        #[serde(default)]
        pub(in crate::cloud) struct $name {
            $(
                $(#[$field_doc])*
                #[serde($(rename = $wired,)? deserialize_with = $how)]
                pub(in crate::cloud) $field: $type,
            )*
        }
    };
}
pub(in crate::cloud) use wire;

/// Where an answer is wrong, without what stands there: it may be a token.
pub(in crate::cloud) fn place(error: &serde_json::Error) -> String {
    format!("{:?} error in line {}, column {}", error.classify(), error.line(), error.column())
}

/// Any scalar.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Scalar {
    /// Null, a list, an object.
    #[default]
    Nothing,
    /// Whole numbers and booleans.
    Int(i128),
    /// A fraction.
    Float(f64),
    /// A string.
    Text(String),
}

impl Scalar {
    /// As a whole number.
    pub(crate) fn int(&self) -> Option<i128> {
        match self {
            Self::Nothing => None,
            Self::Int(number) => Some(*number),
            // Fractions beyond 2^53 are not exact, and none is expected there.
            #[allow(clippy::cast_possible_truncation)]
            Self::Float(number) => (number.abs() < 9e15).then_some(*number as i128),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }

    /// As text; `None` when there is nothing.
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Int(number) => Some(number.to_string()),
            Self::Float(number) => Some(number.to_string()),
            Self::Text(text) => Some(text),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Int(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Int(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Int(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(value))
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Nothing)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scalar, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nothing)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Nothing)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A whole number, or none.
pub(crate) fn int<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i128>,
{
    let scalar = Scalar::deserialize(deserializer)?;
    Ok(scalar.int().and_then(|number| N::try_from(number).ok()))
}

/// Text of at most `MAX` bytes, or none: what is longer is none of ours, and some of it is kept on disk.
/// Numbers are text too: ids and `request_id` come as either.
pub(crate) fn text<'de, D: Deserializer<'de>, const MAX: usize>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Scalar::deserialize(deserializer)?.text().filter(|text| text.len() <= MAX))
}

/// An object; whatever is none is absent.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_unit<E>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_str<E>(self, _: &str) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<T>, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<T>, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Object(PhantomData))
}

/// What may stand in a list and be no object at all: then it is nothing, and the rest of the list is read.
#[derive(Debug)]
pub(crate) struct Perhaps<T>(pub(crate) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Perhaps<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

/// The first `MAX` values of an object, by their names of at most 100 bytes; whatever is no object is an
/// empty one.
pub(crate) fn map<'de, D, T, const MAX: usize>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MAX: usize>(BTreeMap<String, T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Bounded<T, MAX> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Values<T, const MAX: usize>(PhantomData<T>);
            impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Values<T, MAX> {
                type Value = Bounded<T, MAX>;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                    let mut values = BTreeMap::new();
                    while let Some(name) = map.next_key::<String>()? {
                        if values.len() < MAX && name.len() <= 100 {
                            values.insert(name, map.next_value()?);
                        } else {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                    Ok(Bounded(values))
                }
            }
            deserializer.deserialize_map(Values::<T, MAX>(PhantomData))
        }
    }
    let values = object::<D, Bounded<T, MAX>>(deserializer)?;
    Ok(values.map(|values| values.0).unwrap_or_default())
}

/// A list of at most `MAX`; null and whatever is no list is an empty one.
pub(crate) fn list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MAX: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }
        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_bool<E>(self, _: bool) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_i64<E>(self, _: i64) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_u64<E>(self, _: u64) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_f64<E>(self, _: f64) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_str<E>(self, _: &str) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok(Vec::new())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                if items.len() == MAX {
                    return Err(de::Error::invalid_length(MAX + 1, &self));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_any(Bounded::<T, MAX>(PhantomData))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Answer {
        #[serde(default, deserialize_with = "int")]
        number: Option<u32>,
        #[serde(default, deserialize_with = "text::<_, 20>")]
        word: Option<String>,
        #[serde(default, deserialize_with = "list::<_, _, 3>")]
        items: Vec<Scalar>,
        #[serde(default, deserialize_with = "map::<_, _, 2>")]
        named: BTreeMap<String, Perhaps<Inner>>,
    }

    #[derive(serde::Deserialize)]
    struct Inner {
        #[serde(default, deserialize_with = "int")]
        number: Option<u32>,
    }

    #[test]
    fn a_map_is_bounded_and_what_is_no_object_in_it_is_nothing() {
        let read = |json: &str| serde_json::from_str::<Answer>(json).unwrap().named;
        let named = read(r#"{"named":{"a":{"number":"7"},"b":[1],"c":{"number":8}}}"#);
        assert_eq!(named.len(), 2);
        assert_eq!(named["a"].0.as_ref().unwrap().number, Some(7));
        assert!(named["b"].0.is_none());
        for none in ["[]", "null", "7", r#""x""#, "{}"] {
            assert!(read(&format!(r#"{{"named":{none}}}"#)).is_empty(), "{none}");
        }
    }

    #[test]
    fn numbers_and_words_are_read_whichever_way_they_come() {
        for (json, number, word) in [
            (r#"{"number":7,"word":18446744073709551615}"#, Some(7), Some("18446744073709551615")),
            (r#"{"number":" 7","word":"x"}"#, Some(7), Some("x")),
            (r#"{"number":7.0,"word":null}"#, Some(7), None),
            (r#"{"number":-7,"word":[1,{"a":[]}]}"#, None, None),
            (r#"{"number":99999999999,"word":{"a":1}}"#, None, None),
            (r#"{"other":1}"#, None, None),
            (r#"{"word":"a text of 21 bytes..."}"#, None, None),
        ] {
            let answer: Answer = serde_json::from_str(json).unwrap();
            assert_eq!((answer.number, answer.word.as_deref()), (number, word), "{json}");
        }
    }

    #[test]
    fn a_list_longer_than_agreed_is_an_error_and_a_non_list_is_empty() {
        let read = |json| serde_json::from_str::<Answer>(json).map(|answer| answer.items.len());
        assert_eq!(read(r#"{"items":[1,"2",null]}"#).unwrap(), 3);
        assert_eq!(read(r#"{"items":null}"#).unwrap(), 0);
        assert_eq!(read(r#"{"items":{"a":1}}"#).unwrap(), 0);
        assert!(read(r#"{"items":[1,2,3,4]}"#).is_err());
    }
}
