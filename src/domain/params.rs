//! Parameters: the lines of `inject`, read as an env file.
