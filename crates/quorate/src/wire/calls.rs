//! Calls: operations on their way to the primary.
//!
//! ```text
//!   call:  u32 LE id | u8 items | item ..
//!   item:  u16 LE key length | 2 x u64 LE arguments | key
//! ```

// Layout: docs/wire.md, section 3.

use std::array;

use bytes::{Bytes, BytesMut};

use super::bounds;
use super::error::WireError;
use crate::model::{ARGUMENT_WORDS, Item, MAX_ITEMS, MAX_KEY_BYTES};

/// Longest call, in bytes.
pub const MAX_CALL_BYTES: usize = CALL_BYTES + MAX_ITEMS * (ITEM_BYTES + MAX_KEY_BYTES);

const CALL_BYTES: usize = 4 + 1;
const ITEM_BYTES: usize = 2 + 8 * ARGUMENT_WORDS;

/// The body of a frame of calls, not looked into yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls(Bytes);

impl Calls {
    /// Takes a body as it is; [`Reader`] checks it.
    pub fn from_body(body: Bytes) -> Self {
        Self(body)
    }

    /// The body.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads the calls.
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(&self.0)
    }
}

/// One call as it stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'r, 'b> {
    /// Names the call at its sender; the reply carries it.
    pub id: u32,
    /// The operation: 1 to [`MAX_ITEMS`] items with keys of 1 to [`MAX_KEY_BYTES`].
    pub items: &'r [Item<'b>],
}

/// Appends a call to `out`, between [`begin`](super::begin) and [`finish`](super::finish).
///
/// # Errors
///
/// If there are no items or more than [`MAX_ITEMS`], or a key is empty or longer than
/// [`MAX_KEY_BYTES`]. Nothing was appended.
pub fn push(out: &mut BytesMut, id: u32, items: &[Item<'_>]) -> Result<(), WireError> {
    bounds::count("items", items.len(), 1, MAX_ITEMS)?;
    let mut bytes = CALL_BYTES;
    for item in items {
        bounds::bytes("key", item.key.len(), 1, MAX_KEY_BYTES)?;
        bytes += ITEM_BYTES + item.key.len();
    }
    out.reserve(bytes);
    let [a, b, c, d] = id.to_le_bytes();
    out.extend_from_slice(&[a, b, c, d, items.len() as u8]);
    for item in items {
        let mut head = [0; ITEM_BYTES];
        let (length, arguments) = head.split_at_mut(2);
        length.copy_from_slice(&(item.key.len() as u16).to_le_bytes());
        for (bytes, argument) in arguments.as_chunks_mut().0.iter_mut().zip(item.args) {
            *bytes = argument.to_le_bytes();
        }
        out.extend_from_slice(&head);
        out.extend_from_slice(item.key);
    }
    Ok(())
}

/// Reads the calls of a body one after the other, without an allocation.
#[derive(Clone, Debug)]
pub struct Reader<'b> {
    rest: &'b [u8],
    items: [Item<'b>; MAX_ITEMS],
}

impl<'b> Reader<'b> {
    /// A reader at the first call of `body`.
    pub fn new(body: &'b [u8]) -> Self {
        Self { rest: body, items: [Item { key: &[], args: [0; ARGUMENT_WORDS] }; MAX_ITEMS] }
    }

    /// Bytes that have not been read yet: the next call begins so many before the end.
    pub fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    /// The next call; `None` at the end. Its items are overwritten by the next one's, its keys
    /// live as long as the body.
    ///
    /// # Errors
    ///
    /// If the rest of the body is not a call. The calls before it were whole; what follows cannot
    /// be read.
    pub fn next_call(&mut self) -> Result<Option<Call<'_, 'b>>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let ([id @ .., count], mut rest) = take::<CALL_BYTES>("call", self.rest)?;
        let count = usize::from(count);
        bounds::count("items", count, 1, MAX_ITEMS)?;
        for item in &mut self.items[..count] {
            (*item, rest) = read_item(rest)?;
        }
        self.rest = rest;
        Ok(Some(Call { id: u32::from_le_bytes(id), items: &self.items[..count] }))
    }
}

fn read_item(rest: &[u8]) -> Result<(Item<'_>, &[u8]), WireError> {
    let ([first, second, arguments @ ..], rest) = take::<ITEM_BYTES>("item", rest)?;
    let length = usize::from(u16::from_le_bytes([first, second]));
    bounds::bytes("key", length, 1, MAX_KEY_BYTES)?;
    let have = rest.len();
    let Some((key, rest)) = rest.split_at_checked(length) else {
        return Err(WireError::Truncated { field: "key", need: length, have });
    };
    let (arguments, _) = arguments.as_chunks();
    let args = array::from_fn(|index| u64::from_le_bytes(arguments[index]));
    Ok((Item { key, args }, rest))
}

fn take<'b, const N: usize>(
    field: &'static str,
    rest: &'b [u8],
) -> Result<([u8; N], &'b [u8]), WireError> {
    match rest.split_first_chunk() {
        Some((chunk, rest)) => Ok((*chunk, rest)),
        None => Err(WireError::Truncated { field, need: N, have: rest.len() }),
    }
}
