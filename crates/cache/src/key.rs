//! What a request asks for: the key of an object.
