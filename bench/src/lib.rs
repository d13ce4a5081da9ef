//! Benchmarks beside peers: both servers in one run on one machine, and a table of ratios.
//!
//! Every program in `src/bin/` is one comparison: what it starts, what it asks, its rows and bars. Options, rounds and
//! evidence are the same everywhere and stand in [`frame`]. What they are made of, in the order a run goes:
//!
//! 1. the scene: [`world`] is a folder with media and room for the servers, [`process`] a program tied to a
//!    core, [`peers`] the servers themselves with their best settings, [`source`] what they fill from when
//!    its requests must be counted, [`tier`] the cache alone where sockets would only be in the way;
//! 2. the load: [`load`] runs wrk and h2load, [`viewers`] is a crowd of its own, [`client`] one careful
//!    viewer who checks what arrives; both read answers with [`head`];
//! 3. the measuring: [`cpu`] is what a server's processes have used, [`measure`] turns rounds A B A B into a
//!    row, [`quantile`] sums up;
//! 4. the telling: [`table`] is for people, [`report`] keeps both table and numbers as evidence, [`facts`]
//!    says what machine and which versions it was.
//!
//! Apart from these stands [`sim`]: routing policies in a simulated world, which measures no program and no clock.
//!
//! Units of work are compared by CPU time, not by wall time: machines are shared and noisy. It measures
//! programs from outside and must not know how they work inside.

pub mod client;
pub mod cpu;
pub mod facts;
pub mod frame;
pub mod head;
pub mod load;
pub mod measure;
pub mod peers;
pub mod process;
pub mod quantile;
pub mod report;
pub mod sim;
pub mod source;
pub mod table;
pub mod tier;
pub mod viewers;
pub mod world;
