//! Who may see what: who sends a request, what their credential allows, and how much of it.
//!
//! This room knows nothing of HTTP or GraphQL, and opens nothing. Whatever cannot be checked is refused.
//!
//! | piece | what it is |
//! | --- | --- |
//! | [`Authenticator`] | from a credential to a [`Caller`] |
//! | [`Scope`] | one thing that a caller may do; `schema.graphql` names those that each field needs |
//! | [`Need`] | which scopes allow something |
//! | [`tokens`] | the table of opaque tokens |
//! | [`revocation`] | ending many of them at once |
//! | `jwt` | tokens that an issuer elsewhere signs |
//! | [`Budget`] | how many subjects a caller opens within a minute, and within a second |
//! | [`Refusals`] | how often a caller is refused something |
//! | [`RequestRates`] | how many requests a caller, or an address, sends |

mod authenticator;
mod budget;
mod caller;
mod error;
mod jwt;
mod need;
mod rates;
mod refusals;
pub mod revocation;
mod scope;
mod secret_token;
pub mod tokens;

pub use authenticator::Authenticator;
pub use budget::{Account, Budget, Exhausted, Reservation};
pub use caller::{Caller, Denied};
pub use error::AuthError;
pub use jwt::KeySourceError;
pub use need::Need;
pub use rates::{RequestRates, TooMany};
pub use refusals::Refusals;
pub use scope::{Scope, Scopes, UnknownScope};
pub use secret_token::{SecretToken, TokenHash};
