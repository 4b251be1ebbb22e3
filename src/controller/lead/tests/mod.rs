//! A cluster of controllers that share one log, told what happens to its servers.

mod findings;
mod growth;
mod life;
mod random;
mod transcript;
mod world;

use world::World;
