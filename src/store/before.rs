//! The record at or before a key, found by looking forward only.
//!
//! sled looks backward, too. But its way there begins with the largest key it can think of, a mebibyte of 0xff: a
//! sixth of the whole program, for boxes with little flash, and never read. A few dozen looks forward find the same.

use sled::IVec;

type Record = (IVec, IVec);

/// The last record from `prefix` to `key`, both included. `first` tells the first one from there to `key`.
pub(super) fn at_or_before<E>(
    prefix: &[u8],
    key: &[u8],
    mut first: impl FnMut(&[u8]) -> Result<Option<Record>, E>,
) -> Result<Option<Record>, E> {
    let Some(mut low) = first(prefix)? else { return Ok(None) };
    // Neighbours are alike but for the end of their keys.
    let mut cut = 1;
    while key.len().saturating_sub(cut) > prefix.len() {
        if let Some(found) = first(&key[..key.len() - cut])? {
            low = found;
            break;
        }
        cut *= 2;
    }
    // What is looked for is `low` or behind it, and before `high`; each turn brings `low` on by a record at least.
    let mut high = key.to_vec();
    while let Some(next) = first(&[&low.0, &[0][..]].concat())? {
        low = next;
        let middle = middle(&low.0, &high);
        match first(&middle)? {
            Some(found) => low = found,
            None => high = middle,
        }
    }
    Ok(Some(low))
}

/// Half way between two keys, which are read as the digits behind a point.
fn middle(low: &[u8], high: &[u8]) -> Vec<u8> {
    let digits = low.len().max(high.len()) + 1;
    let digit = |key: &[u8], at: usize| u16::from(key.get(at).copied().unwrap_or(0));
    let mut sum = vec![0; digits];
    let mut carry = 0;
    for at in (0..digits).rev() {
        let both = digit(low, at) + digit(high, at) + carry;
        (sum[at], carry) = (both & 0xff, both >> 8);
    }
    for digit in &mut sum {
        let whole = carry << 8 | *digit;
        (*digit, carry) = (whole >> 1, whole & 1);
    }
    sum.into_iter().map(|digit| digit.to_le_bytes()[0]).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    /// What is found among these keys, and after how many looks.
    fn found(keys: &BTreeSet<Vec<u8>>, prefix: &[u8], key: &[u8]) -> (Option<Vec<u8>>, usize) {
        let mut looks = 0;
        let first = |from: &[u8]| {
            looks += 1;
            let mut ahead = keys.range(from.to_vec()..);
            let next = ahead.next().filter(|next| next.as_slice() <= key);
            Ok::<_, Infallible>(next.map(|next| (IVec::from(next.as_slice()), IVec::default())))
        };
        let found = at_or_before(prefix, key, first).unwrap();
        (found.map(|(key, _)| key.to_vec()), looks)
    }

    proptest! {
        #[test]
        fn it_is_the_last_one_that_a_look_backward_would_find(
            keys in prop::collection::btree_set(prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xff]), 0..7), 0..60),
            prefix in prop::collection::vec(prop::sample::select(vec![0, b'a', 0xff]), 0..2),
            rest in prop::collection::vec(prop::sample::select(vec![0, 1, b'a', 0xfe, 0xff]), 0..7),
        ) {
            let key = [&prefix[..], &rest].concat();
            let backward = keys.range(prefix.clone()..=key.clone()).next_back().cloned();
            prop_assert_eq!(found(&keys, &prefix, &key).0, backward);
        }
    }

    #[test]
    fn a_few_dozen_looks_are_enough_among_the_names_of_a_camera() {
        let name =
            |number: u32| format!("c\0\0\0\x01DCIM/{:03}CANON/IMG_{number:06}.JPG", 100 + number / 1000);
        let keys: BTreeSet<_> = (0..100_000).step_by(13).map(|number| name(number).into_bytes()).collect();
        let (mut looks, mut lookups) = (0, 0);
        for number in (0..100_000).step_by(997) {
            let (found, some) = found(&keys, b"c\0\0\0\x01", name(number).as_bytes());
            assert_eq!(found, Some(name(number / 13 * 13).into_bytes()));
            (looks, lookups) = (looks + some, lookups + 1);
        }
        assert!(looks < lookups * 30, "{looks} looks in {lookups} lookups");
    }
}
