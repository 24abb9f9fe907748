//! The programs of this package are its examples: see the folders beside `src`.
