//! What is written is read back; what is damaged is refused or read as something else, and never
//! panics.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::strategies::{borrowed, frame, items, packed_calls, packed_replies, reply};
use super::{body, encoded};
use crate::base::id::{Ballot, Position};
use crate::protocol::message::{Message, Piece};
use crate::record::{Record, Records};
use crate::wire::{Frame, WireError, body_bytes, calls, decode, fuzzing, kind, split};

proptest! {
    #[test]
    fn every_frame_is_read_back(frame in frame()) {
        let (kind, body) = body(&frame);
        prop_assert_eq!(decode(kind, body), Ok(frame));
    }

    #[test]
    fn a_frame_cut_short_is_waited_for(frame in frame()) {
        let whole = encoded(&frame);
        for end in 0..whole.len() {
            let mut start = BytesMut::from(&whole[..end]);
            prop_assert_eq!(split(&mut start, usize::MAX), Ok(None));
            prop_assert_eq!(&start[..], &whole[..end], "the buffer is as it was");
        }
    }

    #[test]
    fn a_body_cut_short_never_panics(frame in frame()) {
        let (kind, body) = body(&frame);
        for end in 0..body.len() {
            let _ = decode(kind, body.slice(..end));
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(frame in frame(), bits in vec(any::<Index>(), 1..64)) {
        let whole = encoded(&frame);
        for bit in bits {
            let bit = bit.index(8 * whole.len());
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fuzzing::frames(&flipped);
        }
    }

    #[test]
    fn any_bytes_never_panic(data in vec(any::<u8>(), 0..512)) {
        fuzzing::frames(&data);
        fuzzing::messages(&data);
        fuzzing::calls(&data);
    }

    #[test]
    fn frames_are_split_however_they_arrive(
        frames in vec(frame(), 1..5),
        cuts in vec(any::<Index>(), 0..9),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|frame| encoded(frame).to_vec()).collect();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut buffer = BytesMut::new();
        let mut arrived = Vec::new();
        let mut start = 0;
        for end in cuts {
            buffer.extend_from_slice(&stream[start..end]);
            start = end;
            while let Some((kind, body)) = split(&mut buffer, usize::MAX)? {
                arrived.push(decode(kind, body)?);
            }
        }
        prop_assert_eq!(arrived, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn calls_are_read_back_and_a_cut_one_is_named(calls in vec((any::<u32>(), items()), 1..4)) {
        let body = packed_calls(&calls);
        let body = body.as_bytes();
        for end in (0..=body.len()).rev().step_by(7) {
            let mut reader = calls::Reader::new(&body[..end]);
            let mut read = 0;
            let mut bytes = 0;
            let last = loop {
                match reader.next_call() {
                    Ok(Some(call)) => {
                        let (id, items) = &calls[read];
                        prop_assert_eq!((call.id, call.items), (*id, &borrowed(items)[..]));
                        read += 1;
                        bytes += 5 + items.iter().map(|(key, _)| 18 + key.len()).sum::<usize>();
                    }
                    last => break last.map(|_| ()),
                }
            };
            let at_end = bytes == end;
            let is_truncated = matches!(last, Err(WireError::Truncated { .. }));
            prop_assert!(at_end && last.is_ok() || !at_end && is_truncated, "{last:?} at {end}");
        }
    }

    #[test]
    fn replies_are_read_back_and_a_cut_one_is_named(replies in vec(reply(), 1..9)) {
        let body = packed_replies(&replies);
        let read: Result<Vec<_>, _> = body.reader().collect();
        prop_assert_eq!(read, Ok(replies.clone()));
        let short = &body.as_bytes()[..body.as_bytes().len() - 1];
        let read: Vec<_> = super::super::replies::Reader::new(short).collect();
        prop_assert_eq!(read.len(), replies.len());
        let last = read.last().cloned();
        prop_assert!(matches!(last, Some(Err(WireError::Truncated { .. }))), "{last:?}");
    }
}

/// A piece is filled by the packed size of its records, and what is around them is short.
#[test]
fn a_full_piece_fits_a_frame() {
    let piece = |records| {
        Message::Piece(Piece {
            ballot: Ballot::NONE,
            transfer: 0,
            index: 0,
            from: None,
            records,
            end: None,
            total: 0,
            digest: None,
        })
    };
    let records: Records = [Record { key: &[0xff; 576], value: None }].into_iter().collect();
    let (empty, full) =
        (body_bytes(&piece(Records::default())), body_bytes(&piece(records.clone())));
    // Tags and lengths of the records and of the piece.
    assert!(full - empty <= records.packed().len() + 8);
}

#[test]
fn keys_are_slices_of_the_frame() {
    let key = Bytes::from_static(b"\0a key that is not copied");
    let tail = Message::Tail { ballot: Ballot::NONE, at: Position::BLANK, keys: Some(vec![key]) };
    let (kind, body) = body(&Frame::Message(tail));
    assert_eq!(kind, kind::MESSAGE);
    let range = body.as_ptr_range();
    let Ok(Frame::Message(Message::Tail { keys: Some(keys), .. })) = decode(kind, body.clone())
    else {
        panic!("a tail is read back as a tail")
    };
    assert!(range.contains(&keys[0].as_ptr()), "the key points into the body");
}
