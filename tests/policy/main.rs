//! Policies from their text to the verdict: a table for every sentence of what a verdict means, and a
//! second, simple evaluator for everything in between.

mod catalogue;
mod changes;
mod connectivity;
mod convert;
mod explain;
mod fixture;
mod generate;
mod hints;
mod isolation;
mod manifest;
mod model;
mod peers;
mod ports;
mod property;
mod services;
mod suggest;
mod wire;
