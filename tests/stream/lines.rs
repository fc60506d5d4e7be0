//! "Lines": wherever the pieces begin and end, the lines are the same.

use proptest::prelude::*;
use sidewall::lists::lines::{Lines, MOST_LINE};
use sidewall::lists::stream::StreamError;

fn lines(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, StreamError> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for piece in pieces {
        lines.feed(piece, |line| {
            found.push(line.to_vec());
            Ok::<_, StreamError>(())
        })?;
    }
    Ok(found)
}

#[test]
fn a_line_is_complete_only_with_its_end() {
    assert_eq!(lines(&[b"one\ntw"]), Ok(vec![b"one".to_vec()]));
    assert_eq!(
        lines(&[b"one\ntw", b"o\r\n\n \nthree\n"]),
        Ok(vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()])
    );
}

#[test]
fn a_line_that_does_not_end_is_refused_before_it_fills_the_memory() {
    let piece = vec![b'x'; MOST_LINE / 4];
    assert_eq!(lines(&[&piece[..]; 4]), Ok(vec![]));
    assert_eq!(
        lines(&[&piece[..], &piece, &piece, &piece, b"x"]),
        Err(StreamError::TooLong)
    );
    let with_end = [&piece[..], b"x\n"].concat();
    assert_eq!(
        lines(&[&piece[..], &piece, &piece, &with_end]),
        Err(StreamError::TooLong)
    );
}

proptest! {
    #[test]
    fn cutting_a_stream_anywhere_changes_nothing(
        text in "[a-c\n ]{0,60}",
        cuts in proptest::collection::vec(0_usize..60, 0..6),
    ) {
        let whole = lines(&[text.as_bytes()]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.push(0);
        cuts.push(text.len());
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        prop_assert_eq!(lines(&pieces), whole);
    }
}
