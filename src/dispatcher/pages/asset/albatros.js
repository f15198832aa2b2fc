// What pages do beyond being read: follow what changes.
