//! End-to-end tests: they start the binary as a user would and assert on the tables, alerts and messages that came out.

mod backtest;
mod bad_input;
mod corpus;
mod crash;
mod demo;
mod enrich;
mod exceptions;
mod formats;
mod gate;
mod house;
mod interop;
mod kafka;
mod kafka_server;
mod kit;
mod mutants;
mod pack;
mod plan;
mod readme;
mod reprocess;
mod rules;
mod rules_guide;
mod service;
mod sigma;
mod tables;
