//! Content goes onto the nodes before viewers ask, and off them when it is taken back.
//!
//! - `filling`: pre-warm jobs, their progress, what they leave behind;
//! - `taking_back`: purges, hard and soft, with a receipt per node;
//! - `absences`: both, while the selector or a node is away.

mod absences;
mod filling;
mod taking_back;
