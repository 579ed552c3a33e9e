//! Rooms in a time of their own: an hour passes in seconds.

mod drift;
mod each;
mod faults;
mod loss;
mod mix;
mod people;
mod support;
mod switch;
mod to_discord;
