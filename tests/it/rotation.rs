//! `oubliette-admin keys rewrap` and `rotate`, as processes, on real databases and a real LocalStack.

mod clocks;
mod identity;
mod killed;
mod kms;
mod moving;
mod retire;
mod rotate;
mod shared;
mod troubles;
