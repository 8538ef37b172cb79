use std::hint::black_box;

use zeroize::Zeroize;

/// Overwrites 16 times `N` bytes of the stack below the caller: what the calls it made before have left there,
/// of round keys that were on their way to the heap or did not fit into registers.
#[inline(never)]
pub(crate) fn wipe_stack<const N: usize>() {
    let mut used = [0u128; N];
    // As a slice, which goes at once; an array goes element by element.
    used.as_mut_slice().zeroize();
    black_box(&used);
}
