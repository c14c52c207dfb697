//! What a real daemon shows of itself: metrics, health and messages to systemd; and what attacks on its server do to it, which
//! is nothing.

mod attacks;
mod daemon;
mod logs;
mod pages;
mod status;
mod systemd;
