//! Consul's KV, sessions and transactions: the six calls we use.
