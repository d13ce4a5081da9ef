//! Scenarios that read as prose, run against real roles, and the shape of the repository itself.

mod architecture;
