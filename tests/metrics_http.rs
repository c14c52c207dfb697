//! What a real daemon shows of itself: metrics, health and messages to systemd; and what attacks on its server do to it, which
//! is nothing.

#![allow(clippy::unwrap_used)] // Helpers of tests are not recognised as tests.

#[path = "metrics/attacks.rs"]
mod attacks;
#[path = "metrics/daemon.rs"]
mod daemon;
#[path = "metrics/logs.rs"]
mod logs;
#[path = "metrics/pages.rs"]
mod pages;
#[path = "metrics/status.rs"]
mod status;
#[path = "metrics/systemd.rs"]
mod systemd;
