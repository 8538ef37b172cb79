use crate::graphql;

pub(super) fn run() -> String {
    graphql::sdl()
}
