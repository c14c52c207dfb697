//! Starts real etcd servers for tests.
