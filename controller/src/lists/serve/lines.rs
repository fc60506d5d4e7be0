//! The body of a watch: one turn after the other, and nothing of the next before all of this one was
//! taken. So a slow receiver costs one turn's memory, whatever changes meanwhile, and slices in it are
//! the same bytes for all.

use std::convert::Infallible;
use std::future::Future;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures::stream;

use super::refusal::Refusal;
use crate::lists::metrics::{Sort, Streaming};

/// Lines that are shorter than this are sent in one piece with their neighbours.
const SHORT: usize = 4 << 10;

/// What a turn says.
pub type Turn = Box<dyn Iterator<Item = Bytes> + Send>;

/// Who has something to say, again and again.
pub trait Turns: Send + 'static {
    /// What there is to say next; `None`: that was all. Waits for as long as there is nothing.
    fn turn(&mut self) -> impl Future<Output = Option<Turn>> + Send;
}

/// The answer that says all of it.
pub fn response<T: Turns>(turns: T, sort: Sort) -> Response {
    let streaming = Streaming::begin(sort);
    let start = (turns, None::<Turn>, streaming);
    let body = stream::unfold(start, |(mut turns, mut lines, streaming)| async move {
        loop {
            if let Some(line) = lines.as_mut().and_then(Iterator::next) {
                streaming.sent(line.len());
                return Some((Ok::<_, Infallible>(line), (turns, lines, streaming)));
            }
            lines = Some(turns.turn().await?);
        }
    });
    answer(Body::from_stream(body))
}

/// The answer that says only why it cannot go on.
#[must_use]
pub fn last_words(refusal: &Refusal) -> Response {
    answer(Body::from(refusal.event()))
}

fn answer(body: Body) -> Response {
    let json = HeaderValue::from_static("application/json");
    let headers = [
        (CONTENT_TYPE, json),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache, private")),
    ];
    (headers, body).into_response()
}

/// Lines, short ones put together.
#[derive(Debug, Default)]
pub struct Pieces {
    whole: Vec<Bytes>,
    short: BytesMut,
}

impl Pieces {
    /// One more line.
    pub fn push(&mut self, line: Bytes) {
        if line.len() < SHORT {
            self.short.extend_from_slice(&line);
        } else {
            self.cut();
            self.whole.push(line);
        }
    }

    fn cut(&mut self) {
        if !self.short.is_empty() {
            self.whole.push(self.short.split().freeze());
        }
    }

    /// All of them.
    #[must_use]
    pub fn turn(mut self) -> Turn {
        self.cut();
        Box::new(self.whole.into_iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lines_go_together_in_order_and_long_ones_as_they_are() {
        let mut pieces = Pieces::default();
        let long = Bytes::from(vec![b'x'; SHORT]);
        for line in [&b"a\n"[..], b"b\n"] {
            pieces.push(Bytes::from_static(line));
        }
        pieces.push(long.clone());
        pieces.push(Bytes::from_static(b"c\n"));
        let turn: Vec<Bytes> = pieces.turn().collect();
        assert_eq!(
            turn,
            [
                Bytes::from_static(b"a\nb\n"),
                long.clone(),
                Bytes::from_static(b"c\n")
            ]
        );
        assert_eq!(turn[1].as_ptr(), long.as_ptr(), "not copied");
    }
}
