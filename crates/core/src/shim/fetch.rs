//! Asks for a cache line as one to be changed, before it is read.
//!
//! Who reads a line that another core has changed gets a copy, and has to ask again to change it:
//! two moves where one would do.
#![allow(unsafe_code)]
#![allow(
    clippy::pointers_in_nomem_asm_block,
    reason = "nothing is read or written through the pointer"
)]

/// Fetches the line at which `value` begins, for a change that follows.
#[inline(always)]
pub fn fetch_to_change<T>(value: &T) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint: no memory is read or written, and processors that do not know it pass it over.
    unsafe {
        std::arch::asm!(
            "prefetchw [{}]",
            in(reg) value,
            options(nomem, nostack, preserves_flags),
        );
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = value;
}
