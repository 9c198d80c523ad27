"""The dashboard: one page about the table, one about the runs; served by Cloud Run or exported as a single file."""
