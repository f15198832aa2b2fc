// Follows a log.
