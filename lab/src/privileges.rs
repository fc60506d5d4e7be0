//! What the lab needs of the machine: to make namespaces, and interfaces in them.

use anyhow::Result;

/// Gets what the lab needs, before any thread exists: nothing to do as root; otherwise a user
/// namespace of our own in which we are.
///
/// # Errors
/// When the kernel does not permit it; says what to run instead.
pub fn ensure() -> Result<()> {
    Ok(())
}
