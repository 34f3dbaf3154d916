//! Cache-Tag and Surrogate-Key.
