//! Root filesystems and kernels, kept on the node by what they hold.
