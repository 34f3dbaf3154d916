//! Which endpoint answers, and is it well?
