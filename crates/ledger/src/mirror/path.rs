use tlog_tiles::Tile;

use super::{HEIGHT, WIDTH};

/// A number as a path: three digits at a time, all but the last with an `x` before (c2sp.org/tlog-tiles, "Merkle Tree").
pub(super) fn numbered(mut number: u64) -> String {
    let mut path = format!("{:03}", number % 1000);
    while number >= 1000 {
        number /= 1000;
        path = format!("x{:03}/{path}", number % 1000);
    }
    path
}

/// The path of a tile of hashes.
pub(super) fn tile_path(tile: &Tile) -> String {
    partial(&format!("tile/{}", tile.level()), tile.level_index(), u64::from(tile.width()))
}

/// The path of the object that holds the entries of a tile, by the tile's number, in a log of that many entries.
pub(super) fn entries_path(tile: u64, size: u64) -> String {
    partial("tile/entries", tile, (size - tile * WIDTH).min(WIDTH))
}

/// The tile of hashes of a level in a tree of that size, as wide as it is there.
pub(super) fn tile(level: u8, number: u64, size: u64) -> Tile {
    let width = ((size >> (HEIGHT * level)) - number * WIDTH).min(WIDTH);
    Tile::new(HEIGHT, level, number, u32::try_from(width).unwrap_or(1), false)
}

fn partial(folder: &str, number: u64, width: u64) -> String {
    let path = format!("{folder}/{}", numbered(number));
    if width == WIDTH { path } else { format!("{path}.p/{width}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of c2sp.org/tlog-tiles.
    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(numbered(1_234_067), "x001/x234/067");
        assert_eq!(numbered(0), "000");
        assert_eq!(tile_path(&tile(0, 273, 70_000)), "tile/0/273.p/112");
        assert_eq!(tile_path(&tile(1, 1, 70_000)), "tile/1/001.p/17");
        assert_eq!(tile_path(&tile(2, 0, 70_000)), "tile/2/000.p/1");
        assert_eq!(tile_path(&tile(0, 272, 70_000)), "tile/0/272");
        assert_eq!(entries_path(273, 70_000), "tile/entries/273.p/112");
        assert_eq!(entries_path(0, 256), "tile/entries/000");
    }
}
