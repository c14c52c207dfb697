//! The operator's commands against a real etcd, as an operator meets them: the binary, its output and its exit code.

mod check_etcd;
mod explain;
mod forget;
mod go_on;
mod history;
mod pause;
mod release;
mod requests;
mod reset_budget;
mod status;
mod support;
mod verify_history;
