//! The tests of the simulation, as one program: those that compute for long run beside each other.

mod answers;
mod crash_points;
mod differential;
mod domains;
mod etcd;
mod headline;
mod histories;
mod late;
mod line;
mod machine;
mod operators;
mod planted;
mod regressions;
mod scenarios;
mod steps;
mod windows;
