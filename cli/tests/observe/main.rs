//! `sidewall observe` on flows that a lab's sidecars wrote: what it prints, what it counts, and that
//! the real `hubble` agrees about all of it.

mod corpus;
mod hubble;
mod lab;
mod output;
mod run;
