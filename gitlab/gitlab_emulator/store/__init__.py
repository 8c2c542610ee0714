"""Tables, records, and all SQL, by intention."""
