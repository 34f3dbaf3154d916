//! Which objects belong to a tag or a folder.
