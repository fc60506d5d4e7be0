//! Lines of a stream of bytes, wherever the pieces that it comes in begin and end. What a line says is
//! [`super::stream`]'s business.

use super::stream::StreamError;

/// Longest line. The longest honest one is a slice of 16 Services, of some 60 bytes for each endpoint: 30
/// thousand of them each. A line is in memory as a whole, so it must end somewhere.
pub const MOST_LINE: usize = 32 << 20;

/// A line's memory that is kept for the next one.
const KEPT_LINE: usize = 64 << 10;

/// Cuts bytes into lines, wherever the pieces that they come in begin and end.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes in a piece, and hands each line that it completes to `take`, without its end. Empty
    /// lines are none.
    ///
    /// # Errors
    /// [`StreamError::TooLong`], and whatever `take` answers; the rest of the piece is lost then.
    pub fn feed<E: From<StreamError>>(
        &mut self,
        mut piece: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&piece[..end], &piece[end + 1..]);
            if self.rest.len() + line.len() > MOST_LINE {
                return Err(StreamError::TooLong.into());
            }
            if self.rest.is_empty() {
                one(line, &mut take)?;
            } else {
                self.rest.extend_from_slice(line);
                let taken = one(&self.rest, &mut take);
                self.rest.clear();
                self.rest.shrink_to(KEPT_LINE);
                taken?;
            }
            piece = after;
        }
        if self.rest.len() + piece.len() > MOST_LINE {
            return Err(StreamError::TooLong.into());
        }
        self.rest.extend_from_slice(piece);
        Ok(())
    }
}

fn one<E>(line: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    match line.trim_ascii() {
        [] => Ok(()),
        line => take(line),
    }
}
