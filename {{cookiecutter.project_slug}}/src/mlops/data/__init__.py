"""Reading, checking and splitting the rows."""
